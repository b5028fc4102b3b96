"""Public texts that a tuned model should not forget: everyday sentences by topic, written for this package."""

TOPICS: dict[str, str] = {
    "cooking": """
Let the onions soften before you add the rice.
She folds the dough twice and leaves it under a cloth.
A pinch of salt brings out the taste of the tomatoes.
The soup was too thin, so he let it simmer for another hour.
Grease the tin and dust it with flour.
Turn the fish once, when its edges are white.
We had no cream, so the sauce was made with yoghurt.
The oven runs hot; take the bread out early.
Chop the herbs last, or they lose their smell.
He seasons everything with far too much pepper.
Beat the eggs until the foam stands.
The leftovers make a good pie on the next day.""",
    "sport": """
The keeper guessed the right corner and held the penalty.
She came third after a fall on the last bend.
Their defence was asleep for the first ten minutes.
He trains before dawn, when the pool is empty.
Two sets down, she broke serve and won the match.
The referee waved play on and the crowd whistled.
It was the fastest lap of the whole season.
The coach left his best striker on the bench.
A strong tail wind does not count for the record.
They lost on goal difference alone.
Her second serve is better than most first ones.
The relay team dropped the baton at the final change.""",
    "weather": """
Clouds will clear from the west during the afternoon.
It froze overnight and the windscreen was white.
A warm front brings drizzle to the coast.
The thunder came four seconds after the flash.
By noon the fog had lifted from the valley.
Gusts of up to ninety kilometres an hour are expected.
It has not rained here since early June.
The pressure is falling, so take a coat.
Hail the size of peas covered the road.
Snow is likely above eight hundred metres.
The evenings stay mild until the end of the week.
Humid air made the night hard to bear.""",
    "travel": """
The last ferry leaves the island at ten past six.
We changed trains twice and still arrived early.
Her suitcase went to another airport.
The hostel keeps a room free for hikers.
You need no visa for a stay of ninety days.
The bus winds up to the pass in an hour.
They crossed the border on foot.
Our seats were in the last row, beside the galley.
The old town is best seen from the bridge.
He always packs the evening before the flight.
The map showed a path that no longer exists.
We slept in the car when the campsite was full.""",
    "music": """
The second violins came in a bar too soon.
He tunes the piano by ear, and slowly.
Her voice was hoarse, but she sang the encore.
The chorus repeats until the drums drop out.
It is written in a minor key and ends in a major one.
They recorded the whole album in two days.
The bass is so loud that the windows hum.
She practises scales with the lid closed.
The conductor put down the baton and waited.
An oboe gives the note for everybody else.
The melody is an old lullaby, played twice as fast.
He left the band after their first tour.""",
    "computing": """
The program stops as soon as the disk is full.
Restart the router and wait for the green light.
She wrote a script that renames all the files.
The update broke the printer driver again.
Nobody had changed the default password.
A loop runs once more than it should.
The server answers, but with the wrong certificate.
He restored the table from last night's backup.
The search is quick because the index fits in memory.
Her laptop's fan starts whenever a page has video.
They moved the database to a new machine.
The bug appears only in leap years.""",
    "gardening": """
Prune the roses before the buds swell.
Slugs ate every lettuce in a single night.
The soil is heavy clay and drains badly.
Water in the evening, at the roots and not the leaves.
She grows beans up the fence on the south side.
Cover the compost, or it dries out.
The seedlings bend towards the window.
Plant the bulbs three times as deep as they are tall.
Moss means that the lawn gets too little light.
He cut the hedge too late, and the birds had nested.
Old coffee grounds keep the ants away.
The apple tree bears fruit every second year.""",
    "money": """
The rent is due on the first of each month.
He pays in cash because he keeps no account.
Interest on the loan rose by half a point.
She put a tenth of her wages aside.
The shares fell as soon as the figures were out.
Our invoice has been open for sixty days.
The bank charges a fee for each transfer abroad.
They sold the house for less than they had paid.
The refund will be on your card within a week.
Prices went up, but the pensions did not.
He owes his brother the deposit for the car.
The budget leaves nothing for repairs.""",
}
SENTENCES: tuple[tuple[str, str], ...] = tuple(
    (line, topic) for topic, lines in TOPICS.items() for line in lines.strip().splitlines()
)
