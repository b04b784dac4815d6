"""YAML text to a plan, with errors a technician can act on.

text ──load──▶ nodes with places ──walk──▶ sections (schema) ──compile──▶ GatewayPlan
        │                          │                            │
        └───────── problems, each file:line:column ─────────────┴──▶ ConfigErrors, all at once
"""

from edgetwin.config.compile.gateway import compile_text as compile_text
from edgetwin.config.compile.gateway import read as read
from edgetwin.config.problem import ConfigErrors as ConfigErrors
from edgetwin.config.problem import Problem as Problem
