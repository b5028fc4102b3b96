"""Let people compare two models' answers: a blind sheet, a page to rate it on, and the score."""
