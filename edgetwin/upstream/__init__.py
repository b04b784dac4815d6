"""The way to the cloud: MQTT."""
