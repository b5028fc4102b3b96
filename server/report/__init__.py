"""Write the results of a run for people: the report with its charts, the privacy card and the model card."""
