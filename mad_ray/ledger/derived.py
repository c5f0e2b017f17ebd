"""Where documents lie that are made of others, and can be made again at any time."""

LABELS = "labels.json"
EMBEDDINGS = "embeddings/"


def labels_key(reference: str) -> str:
    """What labels tell of the real samples of the reference at that key: a classifier, and floors."""
    return f"{reference.rpartition('/')[0]}/{LABELS}"


def embeddings_prefix(cohort_id: str) -> str:
    """Where the embeddings of a cohort lie."""
    return f"{EMBEDDINGS}{cohort_id}/"


def embedding_key(cohort_id: str, newest: str, n: int, b: int) -> str:
    """The embedding of n samples of each generation of trajectory b, up to the manifest of that digest."""
    return f"{embeddings_prefix(cohort_id)}{newest[:16]}-{n:05d}-{b:04d}.json"
