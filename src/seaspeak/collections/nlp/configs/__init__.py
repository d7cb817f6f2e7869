"""Configurations that ship: one YAML file a model, with the sections model, trainer and exp_manager."""
