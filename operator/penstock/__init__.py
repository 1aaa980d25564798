"""Releases new versions of services through an Istio mesh, on statistical evidence."""
