"""Every option there is, once: its kind, what it means, its default and an example.

``docs/configuration.md`` is rendered from here. An option with the same meaning has the same name
everywhere. ``Gateway`` is the whole file.
"""
