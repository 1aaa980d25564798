"""The custom resources and the configuration file: typed models and their schemas."""
