"""Base models: found, verified, loaded, and how a batch lies in their memory."""
