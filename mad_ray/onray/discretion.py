"""Credentials stay in the environment of the processes that have them: Ray is kept from writing them down."""

SECRETS = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN"})


def keep_secrets() -> None:
    """Tune copies these from the driver into the runtime environment of its trials, which Ray logs on every node and
    shows on its dashboard. Nodes have them in their own environment, or have a role. To be called before a Tuner fits.
    """
    from ray.tune.execution import class_cache

    class_cache.ENV_VARS_TO_PROPAGATE.difference_update(SECRETS)
