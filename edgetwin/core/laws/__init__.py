"""Control laws: one file each, behind one seam (law.py)."""

LAWS = {
    "pid": "edgetwin.core.laws.pid:Pid",
    "formula": "edgetwin.core.laws.formula:Formula",
}
"""Law name → "module:Class"."""
