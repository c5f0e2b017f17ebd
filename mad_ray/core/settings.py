"""How settings dataclasses are validated. Data for pydantic, which config/ imports and core does not."""

STRICT = {"extra": "forbid", "use_attribute_docstrings": True, "strict": True}
"""Unknown keys refused, no silent casts, and the string beneath a field is its help."""
