"""Dashboards and alert rules as code, made from the catalogue; no service imports this package."""
