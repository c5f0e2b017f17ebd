"""From ledgers to a decision: tables, intervals over seeds, trends, verdicts."""
