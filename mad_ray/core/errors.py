"""Errors that a user can act on: one clear line each, and the exit code of the command that meets them."""


class MadError(Exception):
    """A state of the world that stops a command. Its message says what, found, expected and remedy in one line."""

    exit_code = 2


class InvalidInput(MadError, ValueError):
    """The config or the command line asks for something that cannot be."""


class Drift(MadError):
    """A study of this name is stored with another identity."""


class Insufficient(MadError):
    """The cluster offers less than the study needs; starting would wait for ever."""


class StoreError(MadError):
    """The store refused, for a reason that trying again does not cure."""


class StoreFull(StoreError):
    """No space left."""


class Transient(StoreError):
    """The store did not answer properly this time; trying again may help."""


class Missing(StoreError):
    """There is no object of this key."""


class Corrupt(StoreError):
    """An object's bytes are not those that were committed."""


class Preempted(MadError):
    """The node that works here is about to be taken away; what is saved goes on elsewhere."""

    exit_code = 1


class TrajectoryFailed(MadError):
    """A trajectory cannot go on; the others can."""

    exit_code = 1
