"""The gateway beside the machine: acquisition, live twin, anomaly detection, guarded control, lossless forwarding."""
