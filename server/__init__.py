"""The coordinator: cohort, rounds, screening, aggregation, evaluation and the report."""
