"""The errors of edgetwin, one tree.

    EdgetwinError
    ├── ConfigError        the configuration cannot be used; the start is refused
    ├── DeviceLost         a device cannot be reached any more; its supervisor reconnects
    ├── ModelError         a model file is missing, altered or does not meet the contract
    ├── StorageError       a file of the state directory cannot be used
    ├── RecordingError     a recording is damaged or of another version
    └── AlreadyRunning     another process holds the state directory

A bad tag is never an exception: it is a reading with bad quality.
Each message says what is wrong, where (file:line, or device and tag) and what to do next.
"""


class EdgetwinError(Exception):
    """Anything edgetwin raises on purpose."""


class ConfigError(EdgetwinError):
    """The configuration cannot be used."""


class DeviceLost(EdgetwinError):
    """A device cannot be reached any more. The message names the device, the cause and the cure."""


class ModelError(EdgetwinError):
    """A model is missing, altered, or does not meet the contract."""


class StorageError(EdgetwinError):
    """A file of the state directory cannot be used."""


class RecordingError(EdgetwinError):
    """A recording is damaged, or written by a version that this one cannot read."""


class AlreadyRunning(EdgetwinError):
    """Another process already holds the state directory."""
