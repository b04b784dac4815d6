"""What a consumer of many gateways needs: proof that nothing is missing, ranges of a whole fleet.

Nothing of it runs on a gateway.
"""
