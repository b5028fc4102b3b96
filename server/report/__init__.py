"""What a run leaves behind for people: its report as a page, the charts in it, and the cards."""
