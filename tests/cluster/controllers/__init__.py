"""Controllers, as tables over their generators."""
