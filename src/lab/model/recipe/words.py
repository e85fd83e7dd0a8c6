"""The vocabulary of the lab's little world: plain word lists, no sentences.

`DOMAINS` ties nouns to a theme. An open answer belongs to one theme, and the theme decides which words are frequent in it
(see `Writer.pick` in `corpus.py`). All other lists are shared by every theme.
"""


def _w(text):
    return text.split()


DOMAINS = {
    "sea": _w("boat harbour wave sailor shell island anchor net storm gull lighthouse rope beach tide pearl whale crab map"),
    "forest": _w("tree fox path leaf owl river stone cabin wolf branch nest deer mushroom bear root shadow stream feather"),
    "kitchen": _w("table pot spoon oven knife cup bowl cook recipe plate apron kettle jar basket stove cake lid napkin"),
    "city": _w("street tower bridge tram window market square shop crowd station lamp clock corner bus statue museum roof sign"),
    "school": _w("teacher pupil book desk lesson pencil board ruler question library globe test bag word class story bell page"),
    "garden": _w("flower rose seed bee gate wall fence apple bench ladder well spade bird pond hedge worm pot tulip"),
    "winter": _w("snowman coat fire sledge cloud storm hill scarf wind night lake cabin star boot blanket glove candle sky"),
    "music": _w("song drum piano violin stage singer dance choir flute tune voice concert guitar note band trumpet hall crowd"),
    "farm": _w("cow horse barn field cart farmer goat hen egg tractor dog pig lamb bucket wagon fence mill sheep"),
    "travel": _w("train ticket suitcase road hotel guide camera desert mountain border tent ferry plane letter passport valley bag map"),
    "castle": _w("king queen dragon sword crown knight tower gate throne treasure giant wizard prince ghost mirror ring feast cellar"),
    "workshop": _w("hammer nail engine wheel robot saw wire box tool machine screw clock drill brush spring lever magnet key"),
}
THEMES = {word: theme for theme, nouns in reversed(DOMAINS.items()) for word in nouns}
TOPICS = sorted(THEMES)

ADJECTIVES = _w(
    "old small bright quiet red heavy strange broken warm golden blue tiny cold green soft dark new empty famous round "
    "clean wild silver long wooden lazy sweet tall dusty brave gentle proud angry lonely clever happy sleepy hungry curious "
    "kind careful busy noisy shy lucky honest rich tired pale sharp wet strong narrow slow secret"
)
ROLES = _w(
    "baker doctor farmer teacher sailor painter pilot nurse singer tailor judge miner poet guard cook gardener driver "
    "clerk hunter student"
)
ANIMALS = _w("fox cat dog rabbit bear owl mouse horse lion frog duck wolf turtle goat crow hedgehog")
NAMES = _w(
    "Anna Ben Clara David Emma Felix Grace Henry Iris Jack Kate Leo Mia Noah Olga Paul Rosa Sam Tina Victor Wendy Zoe "
    "Omar Lina Hugo Eva Max Nina Oscar Ruth Tom Vera Ivan Julia Karl Laura Marco Nora Peter Sara"
)
CITIES = _w(
    "Oslo Paris Rome Madrid Berlin Vienna Dublin Lisbon Athens Prague Cairo Tokyo Lima Delhi Boston London Milan Geneva "
    "Havana Warsaw Stockholm Nairobi Ottawa Beijing Ankara"
)
FOODS = _w(
    "tea rice bread honey cheese soup fish salad coffee cake corn pasta milk butter beans pepper garlic lemon ginger salt "
    "sugar cream onion potato tomato apple carrot mint"
)
# For each verb: past, and the form after "he" or "she".
VERBS = [tuple(pair.split("/")) for pair in _w(
    "found/finds saw/sees took/takes painted/paints carried/carries followed/follows heard/hears lost/loses opened/opens "
    "watched/watches wanted/wants touched/touches hid/hides mended/mends remembered/remembers loved/loves bought/buys "
    "feared/fears left/leaves counted/counts cleaned/cleans pulled/pulls studied/studies drew/draws kept/keeps missed/misses "
    "pushed/pushes guarded/guards"
)]
ADVERBS = _w("slowly quickly again softly together alone carefully twice gladly once forever early late quietly proudly often")
TIMES = ["one day", "in the morning", "at night", "after lunch", "every summer", "last week", "before dawn", "on Sunday",
         "in spring", "long ago", "at noon", "for three days", "in the evening", "every year"]
PREPOSITIONS = _w("near behind under beside above inside without beyond around")
FEELINGS = _w("happy sad proud tired afraid calm angry excited lonely hopeful surprised bored grateful nervous")
SKIES = _w("sunny cloudy rainy windy snowy foggy stormy clear mild icy")
DISHES = ["soup", "bread", "salad", "pasta", "cake", "fish pie", "rice", "an omelette", "stew", "jam", "pancakes", "curry"]
HABITS = ["sleep", "study", "cook", "save money", "stay healthy", "make friends", "write", "travel", "learn music", "work",
          "paint", "swim", "read more", "keep calm", "plant a tree", "speak in public"]
# Advice: an imperative and what it may be applied to (any of the objects).
ADVICE_VERBS = ["start with", "think about", "ask for", "write down", "avoid", "look for", "practise with", "be patient with",
                "prepare", "forget", "share", "choose", "take care of", "learn from", "do not fear", "rest after"]
ADVICE_OBJECTS = ["a plan", "small steps", "good friends", "fresh air", "quiet hours", "a list", "your mistakes", "the basics",
                  "long walks", "warm clothes", "clear goals", "new ideas", "strong coffee", "a teacher", "cheap things",
                  "honest words", "loud places", "a good book", "every day", "simple tools", "a short break", "hard questions"]
ADVICE_ENDS = ["every morning", "when you are tired", "before you begin", "at least once a week", "with a smile", "as often as you can",
               "if it rains", "even on Sunday", "and breathe", "until it feels easy"]
COOK_VERBS = _w("add mix boil fry chop wash bake stir peel warm")
COOK_ENDS = ["for ten minutes", "in a large pot", "with a spoon", "until soft", "on a low fire", "in butter", "with salt", "for an hour",
             "in cold water", "very slowly", "and wait", "until golden"]

CAPITALS = dict(pair.split("/") for pair in _w(
    "France/Paris Italy/Rome Spain/Madrid Germany/Berlin Austria/Vienna Ireland/Dublin Portugal/Lisbon Greece/Athens "
    "Norway/Oslo Egypt/Cairo Japan/Tokyo Peru/Lima India/Delhi Sweden/Stockholm Poland/Warsaw Kenya/Nairobi Cuba/Havana "
    "Canada/Ottawa China/Beijing Turkey/Ankara"
))
FRENCH = dict(pair.split("/") for pair in _w(
    "cat/chat dog/chien house/maison water/eau bread/pain sun/soleil moon/lune book/livre tree/arbre fish/poisson "
    "bird/oiseau milk/lait king/roi queen/reine friend/ami red/rouge green/vert black/noir white/blanc apple/pomme "
    "horse/cheval night/nuit sea/mer snow/neige"
))
COLOURS = dict(pair.split("/") for pair in _w(
    "snow/white grass/green coal/black blood/red butter/yellow milk/white tar/black cherries/red leaves/green "
    "lemons/yellow chocolate/brown carrots/orange crows/black frogs/green salt/white tomatoes/red bananas/yellow "
    "bears/brown oranges/orange peas/green"
))
WEAR = sorted(set(COLOURS.values()) | {"blue", "grey", "pink", "purple", "silver", "gold"})
OPPOSITES = dict(pair.split("/") for pair in _w(
    "hot/cold big/small old/new dark/bright slow/quick happy/sad rich/poor loud/quiet wet/dry long/short clean/dirty "
    "strong/weak early/late empty/full open/closed soft/hard high/low near/far"
))
PETS = _w("cat dog rabbit horse goat turtle mouse parrot hamster pony")
EMOJI = "😊 🌟 🎉 😄 ✨ 👍 🙌 💡 🚀 ❤️".split()

# Tools: names they may have, parameters (names, type, values), requests with the values' places, and results. Which names
# a conversation uses is drawn anew each time, so that calls must follow the tools that are offered.
TOOLS = [
    (["get_weather", "weather", "forecast"], [(["city", "place", "town"], "string", CITIES)],
     ["What is the weather in {0}?", "How is the weather in {0} today?"], SKIES),
    (["get_time", "clock", "time_in"], [(["city", "place", "town"], "string", CITIES)],
     ["What time is it in {0}?", "Tell me the time in {0}."], [f"{hour}:{minute}" for hour in range(1, 24) for minute in (15, 30, 45)]),
    (["find_person", "search_people", "lookup"], [(["name", "person", "who"], "string", NAMES)],
     ["Who is {0}?", "Find {0} for me."], ROLES),
    (["buy", "order_item", "shop"], [(["item", "product", "goods"], "string", FOODS), (["count", "amount", "number"], "integer", range(2, 30))],
     ["Buy {1} {0}.", "Order {1} {0} for me.", "I need {1} {0}."], ["done", "sold out"]),
    (["set_alarm", "wake_up", "alarm"], [(["hour", "time", "at"], "integer", range(1, 24))],
     ["Wake me at {0}.", "Set an alarm for {0}."], ["done", "failed"]),
    (["send_message", "notify", "tell"], [(["to", "name", "person"], "string", NAMES), (["text", "message", "word"], "string", TOPICS)],
     ["Send {0} the message {1}.", "Send the word {1} to {0}."], ["done", "failed"]),
    (["book_table", "reserve", "book"], [(["city", "place", "town"], "string", CITIES), (["guests", "people", "seats"], "integer", range(2, 13))],
     ["Book a table for {1} in {0}.", "I want a table in {0} for {1}."], ["done", "no free table"]),
    (["play_song", "play", "music"], [(["title", "song", "track"], "string", TOPICS)],
     ["Play the song {0}.", "I want to hear the song {0}."], ["done", "failed"]),
]
