"""Named tuples without their Python call, for the way from a reading to its write."""

new = tuple.__new__
"""``new(Instant, (mono, wall))`` is ``Instant(mono, wall)``, half a microsecond sooner.

Defaults have to be given, and nobody counts the members: not for where it does not matter.
"""
