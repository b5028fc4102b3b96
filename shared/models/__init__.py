"""Base models: find, verify and load them, and describe how a batch lies in memory."""
