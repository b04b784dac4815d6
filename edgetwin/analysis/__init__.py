"""Models: training on the gateway, and scoring with onnxruntime."""
