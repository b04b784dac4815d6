"""The contract with whoever reads what goes upstream, as data: every message, field by field.

``message`` and ``shape`` are the words it is written in, ``retained`` and ``records`` say it,
``kinds`` is all of it. ``schema`` and ``asyncapi`` render it: JSON Schemas (draft 2020-12) and one
AsyncAPI 3.0 document, in docs/contract. What core.payload writes is held against them by tests.
"""
