"""The twin described in the words of others: W3C WoT, DTDL, AAS, Eclipse Ditto.

Pure: a plan in, a JSON document out. ``formats`` lists them; ``edgetwin export`` prints them.
"""
