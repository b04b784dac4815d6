"""Models: training on the gateway, and scoring with onnxruntime."""

import os

# Official wheels of onnxruntime since 1.29 report to their maker and leave an identifier on disk,
# unless they are told not to before they are loaded (their Privacy.md). A gateway calls nobody.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
