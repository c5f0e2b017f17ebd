"""How far samples are from the real ones: distances, neighbourhoods, and the features they are measured in."""
