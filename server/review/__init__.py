"""People's judgement: a blind sheet of two models' answers, a page to rate them on, and what the ratings say."""
