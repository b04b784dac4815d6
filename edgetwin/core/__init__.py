"""The pure core: computes, and does nothing else.

Time, randomness and configuration are arguments.
"""
