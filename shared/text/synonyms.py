"""List groups of common English words that can replace each other; written for this package."""

GROUPS: tuple[frozenset[str], ...] = tuple(
    frozenset(line.split())
    for line in """
    big large great
    small little tiny
    good fine nice
    bad poor awful
    quick fast rapid
    slow sluggish
    begin start commence
    end finish conclude
    help assist aid
    ask enquire request
    answer reply response
    buy purchase
    get obtain receive
    give provide offer
    show display present
    tell inform notify
    need require
    want wish
    like enjoy
    hate dislike detest
    happy glad pleased
    sad unhappy
    angry cross furious
    afraid scared frightened
    ill sick unwell
    pain ache soreness
    doctor physician
    medicine medication drug
    visit appointment
    bill invoice
    money cash funds
    cost price charge
    cheap inexpensive
    expensive costly
    problem issue trouble
    mistake error fault
    fix repair mend
    change alter modify
    important vital essential
    difficult hard tough
    easy simple
    often frequently regularly
    sometimes occasionally
    always constantly
    maybe perhaps possibly
    really truly actually
    very extremely highly
    also too besides
    but however yet
    because since as
    about regarding concerning
    near close nearby
    old aged
    new recent fresh
    wrong incorrect
    right correct
    film movie picture
    story plot tale
    boring dull tedious
    funny amusing hilarious
    superb excellent
    terrible dreadful horrible
    beautiful lovely pretty
    strange odd weird
    think believe reckon
    look appear seem
    talk speak chat
    send mail post
    wait hold
    today now
    soon shortly
    child kid
    parents family
    people folks persons
    house home
    job work
    street road
    """.strip().splitlines()
)
