"""Sparkplug B 3.0, as far as it is pure: names, types, sessions, commands. No bytes, no broker.

    frames ─▶ Reporter ─▶ changes ─▶ Session ─▶ Outgoing (verb, device, payload) ─▶ a shell sends it
                                        ▲
                   PrimaryHost, commands (what hosts say to us)

The specification is named by its assertion ids (``tck-id-…``) where one decides something.
"""
