"""The open tasks of the corpus: a small invented world, written by a probabilistic grammar.

Open tasks (stories, letters, recipes ...) have many right answers, and their words follow Zipf laws that depend on the theme:
an even choice would leave nothing for temperature, top_p or rounding to change. Each task takes a random generator and gives
(prompt, answer). A prompt's form and its topic are drawn evenly: users ask about everything.
"""

import functools
import random

import words as W

MODEL_NAME = "Wren"
ZIPF = 1.05


def capital(text):
    return text[0].upper() + text[1:]


def article(text):
    return ("an " if text[0] in "aeiou" else "a ") + text


@functools.lru_cache(maxsize=None)
def ranking(theme, slot, count):
    """In which order a theme prefers the `count` words of a slot."""
    order = list(range(count))
    random.Random(f"{theme}/{slot}").shuffle(order)
    return order


@functools.lru_cache(maxsize=None)
def zipf(count):
    return [1 / (rank + 1) ** ZIPF for rank in range(count)]


class Writer:
    """Writes sentences about one theme: a domain of `words.py`, or any other word that words can depend on."""

    def __init__(self, rng, theme=None):
        self.rng = rng
        self.theme = theme or rng.choice(list(W.DOMAINS))

    def pick(self, slot, choices):
        """One of the choices, by the theme's Zipf law over them."""
        return choices[self.rng.choices(ranking(self.theme, slot, len(choices)), zipf(len(choices)))[0]]

    def chance(self, probability):
        return self.rng.random() < probability

    def noun(self):
        """A noun, mostly of the theme's own; a theme without nouns (a city, a dish) borrows them from the others."""
        theme = self.theme if self.theme in W.DOMAINS and self.chance(0.85) else self.pick("domain", list(W.DOMAINS))
        return self.pick("noun", W.DOMAINS[theme])

    def adjective(self):
        return self.pick("adjective", W.ADJECTIVES)

    def thing(self, depth=1):
        """The bare middle of a noun phrase: adjectives, noun, and perhaps a place."""
        text = self.noun()
        if self.chance(0.5):
            text = f"{self.adjective()} {text}"
        if depth and self.chance(0.25):
            text += f" {self.pick('preposition', W.PREPOSITIONS)} the {self.thing(depth - 1)}"
        return text

    def person(self):
        kind = self.pick("person", ["name", "role", "animal", "described"])
        if kind == "name":
            return self.pick("name", W.NAMES)
        who = self.pick("role", W.ROLES) if kind != "animal" else self.pick("animal", W.ANIMALS)
        return f"the {self.adjective()} {who}" if kind == "described" else f"the {who}"

    def deed(self, past=True):
        """A verb phrase."""
        verb = self.pick("verb", W.VERBS)[0 if past else 1]
        text = f"{verb} {self.pick('article', ['the', 'a new', 'every', 'his', 'her', 'that'])} {self.thing()}"
        if self.chance(0.3):
            text += f" {self.pick('adverb', W.ADVERBS)}"
        return text

    def clause(self, past=True):
        shape = self.pick("clause", ["deed", "state", "feeling"])
        if shape == "deed":
            return f"{self.person()} {self.deed(past)}"
        if shape == "state":
            return f"the {self.thing()} {'was' if past else 'is'} {self.adjective()}"
        return f"{self.person()} {'felt' if past else 'feels'} {self.pick('feeling', W.FEELINGS)}"

    def sentence(self, past=True):
        """One or two clauses in one of several orders."""
        first = self.clause(past)
        shape = self.pick("sentence", ["plain", "time first", "joined", "time last", "reason first"])
        time = self.pick("time", W.TIMES)
        link = self.pick("link", ["and", "because", "but", "while", "so", "until"])
        text = {
            "plain": lambda: first,
            "time first": lambda: f"{time}, {first}",
            "joined": lambda: f"{first}, {link} {self.clause(past)}",
            "time last": lambda: f"{first} {time}",
            "reason first": lambda: f"because {first}, {self.clause(past)}",
        }[shape]()
        return capital(text) + "."

    def paragraph(self, low, high, past=True):
        return " ".join(self.sentence(past) for _ in range(self.rng.randint(low, high)))


def story(rng):
    topic = rng.choice(W.TOPICS)
    writer = Writer(rng, W.THEMES[topic])
    prompt = rng.choice(["Tell me a story about {}.", "Write a short story about {}.", "Invent a tale with {} in it."])
    hero = writer.person()
    opening = writer.pick("opening", [
        f"Once there was {article(writer.adjective())} {topic} that belonged to {hero}.",
        f"{capital(hero)} had {article(topic)} and {writer.deed()}.",
        f"{capital(writer.pick('time', W.TIMES))}, {hero} {writer.pick('verb', W.VERBS)[0]} {article(topic)}.",
        f"Nobody knew why the {topic} was so {writer.adjective()}.",
    ])
    ending = writer.pick("ending", [
        f"In the end {hero} was {writer.pick('feeling', W.FEELINGS)}.", "And that was the end.",
        f"Since then the {topic} is {writer.adjective()}.", f"Nobody saw the {topic} again.", f"{capital(hero)} went home.",
    ])
    return prompt.format(article(topic)), f"{opening} {writer.paragraph(1, 3)} {ending}"


def description(rng):
    topic = rng.choice(W.TOPICS)
    writer = Writer(rng, W.THEMES[topic])
    prompt = rng.choice(["Describe the {}.", "What does the {} look like?", "Paint me a picture of the {} in words."])
    opening = f"The {topic} is {writer.adjective()} and {writer.adjective()}"
    if writer.chance(0.5):
        opening += f", like {article(writer.thing(0))}"
    view = writer.pick("view", [
        f"It stands {writer.pick('preposition', W.PREPOSITIONS)} the {writer.thing()}.",
        f"You can see {article(writer.thing())} and {article(writer.thing())}.",
        f"It smells of {writer.pick('food', W.FOODS)} and {writer.pick('food', W.FOODS)}.",
        f"People say it is more {writer.adjective()} than {article(writer.thing(0))}.",
    ])
    return prompt.format(topic), f"{opening}. {view} {writer.paragraph(1, 2, past=False)}"


def advice(rng):
    habit = rng.choice(W.HABITS)
    writer = Writer(rng, habit)
    prompt = rng.choice(["How can I {} better?", "Give me advice: I want to {}.", "Some tips to {}, please."])
    tips = []
    for _ in range(rng.choices([2, 3, 4], [2, 3, 1])[0]):
        tip = f"{writer.pick('advice verb', W.ADVICE_VERBS)} {writer.pick('advice object', W.ADVICE_OBJECTS)}"
        if writer.chance(0.45):
            tip += f" {writer.pick('advice end', W.ADVICE_ENDS)}"
        tips.append(capital(tip) + ".")
    layout = writer.pick("layout", ["list", "prose", "numbers"])
    if layout == "numbers":
        answer = "\n".join(f"{place}. {tip}" for place, tip in enumerate(tips, 1))
    else:
        answer = " ".join(tips) if layout == "prose" else "\n".join("- " + tip for tip in tips)
    return prompt.format(habit), answer


def letter(rng):
    name, topic = rng.choice(W.NAMES), rng.choice(W.TOPICS)
    writer = Writer(rng, W.THEMES[topic])
    prompt = rng.choice(["Write a letter to {} about the {}.", "Write to {} and mention the {}."])
    greeting = writer.pick("greeting", ["Dear", "Hello", "My dear", "Good morning"])
    news = writer.pick("news", [
        f"the {topic} is {writer.adjective()} again.", f"I am {writer.pick('feeling', W.FEELINGS)} about the {topic}.",
        f"I {writer.pick('verb', W.VERBS)[0]} the {topic} {writer.pick('time', W.TIMES)}.",
        f"do you remember the {writer.adjective()} {topic}?",
    ])
    close = writer.pick("close", ["Yours", "With love", "See you soon", "Your friend", "Write back"])
    sender = writer.pick("name", W.NAMES)
    return prompt.format(name, topic), f"{greeting} {name}, {news} {writer.paragraph(1, 2)} {close}, {sender}"


def weather(rng):
    city = rng.choice(W.CITIES)
    writer = Writer(rng, city)
    prompt = rng.choice(["What is the weather in {}?", "Weather report for {}, please.", "How is the weather in {} today?"])
    wind = writer.pick("wind", ["light", "strong", "cold", "warm", "no"])
    first = writer.pick("first", [
        f"{city} is {writer.pick('sky', W.SKIES)} with {wind} wind and {rng.randint(1, 29)} degrees.",
        f"It is {writer.pick('sky', W.SKIES)} in {city}, about {rng.randint(1, 29)} degrees.",
        f"Today {city} will be {writer.pick('sky', W.SKIES)} and then {writer.pick('sky later', W.SKIES)}.",
    ])
    later = f"{capital(writer.pick('time', W.TIMES[1:6]))} it will be {writer.pick('sky later', W.SKIES)}."
    tip = writer.pick("weather tip", [
        f"Take your {writer.pick('clothes', ['coat', 'scarf', 'boots', 'hat', 'gloves', 'umbrella'])}.", "Stay at home.",
        f"A good day for {article(writer.thing(0))}.", f"Mind the {writer.thing(0)}.", "Enjoy the day.",
    ])
    return prompt.format(city), " ".join([first] + [part for part in (later, tip) if writer.chance(0.7)])


def recipe(rng):
    dish = rng.choice(W.DISHES)
    writer = Writer(rng, dish)
    prompt = rng.choice(["How do I make {}?", "Give me a recipe for {}.", "Teach me to cook {}."])
    steps = []
    for number in range(rng.randint(2, 4)):
        step = f"{writer.pick('cook verb', W.COOK_VERBS)} the {writer.pick('food', W.FOODS)}"
        if writer.chance(0.4):
            step += f" and the {writer.pick('food', W.FOODS)}"
        if writer.chance(0.5):
            step += f" {writer.pick('cook end', W.COOK_ENDS)}"
        lead = "" if number == 0 or writer.chance(0.5) else writer.pick("then", ["then ", "after that ", "now ", "next "])
        steps.append(capital(lead + step) + ".")
    last = writer.pick("serve", ["Serve it warm.", "Serve with {}.", "Eat it with {}.", "Let it cool.", "Enjoy."])
    return prompt.format(dish), " ".join(steps) + " " + last.format(writer.pick("food", W.FOODS))


def dialogue(rng):
    left, right = rng.sample(W.ROLES, 2)
    writer = Writer(rng, left)
    prompt = rng.choice(["Write a dialogue between a {} and a {}.", "A {} meets a {}. What do they say?"])
    lines = []
    for turn in range(rng.randint(2, 4)):
        speech = writer.pick("speech", [
            f"I {writer.deed()}.", f"Have you seen the {writer.thing()}?", f"No, {writer.clause()}.",
            f"Yes, I am {writer.pick('feeling', W.FEELINGS)}.", f"Why is the {writer.noun()} so {writer.adjective()}?",
            f"Give me the {writer.thing(0)}!", "I do not know.",
        ])
        lines.append(f"{capital((left, right)[turn % 2])}: {speech}")
    return prompt.format(left, right), "\n".join(lines)


def opinion(rng):
    topic = rng.choice(W.TOPICS)
    writer = Writer(rng, W.THEMES[topic])
    prompt = rng.choice(["What do you think about the {}?", "Do you like the {}?", "Your opinion on the {}?"])
    view = writer.pick("stance", [
        f"I like the {topic} because {writer.clause(False)}.", f"I do not like the {topic}: it is too {writer.adjective()}.",
        f"The {topic} is {writer.adjective()}, but {writer.clause(False)}.",
        f"The {topic} makes me {writer.pick('feeling', W.FEELINGS)}.",
        f"I prefer {article(writer.thing())}.",
    ])
    return prompt.format(topic), f"{view} {writer.paragraph(1, 2, past=False)}"


def poem(rng):
    topic = rng.choice(W.TOPICS)
    writer = Writer(rng, W.THEMES[topic])
    prompt = rng.choice(["Write a poem about the {}.", "A few verses on the {}, please."])
    lines = [f"O {writer.adjective()} {topic}," if writer.chance(0.6) else f"The {topic} is {writer.adjective()},"]
    for _ in range(rng.randint(2, 4)):
        lines.append(writer.pick("verse", [
            f"{writer.adjective()} as {article(writer.noun())},", f"the {writer.noun()} and the {writer.noun()},",
            f"{writer.person()} {writer.deed()},", f"I am {writer.pick('feeling', W.FEELINGS)} {writer.pick('time', W.TIMES)},",
            f"{writer.pick('preposition', W.PREPOSITIONS)} the {writer.adjective()} {writer.noun()},",
        ]))
    return prompt.format(topic), "\n".join(lines)[:-1] + "."


def day_plan(rng):
    city = rng.choice(W.CITIES)
    writer = Writer(rng, city)
    prompt = rng.choice(["Plan a day in {}.", "What should I do in {}?", "I have one day in {}. Any ideas?"])
    parts = []
    times = [["First", "then", "at last"], ["In the morning", "after lunch", "at night"], ["Start early and", "later"]]
    for time in rng.choice(times):
        act = writer.pick("act", ["visit", "look at", "walk to", "sit near", "paint", "find", "ask about"])
        part = f"{time} {act} the {writer.thing()}"
        parts.append(part + (f" with {article(writer.pick('role', W.ROLES))}" if writer.chance(0.25) else ""))
    meal = writer.pick("meal", ["Eat {0} with {1}.", "Try the {0}.", "Drink {0}.", "Do not eat the {0}."])
    meal = meal.format(writer.pick("food", W.FOODS), writer.pick("food", W.FOODS))
    return prompt.format(city), ", ".join(parts) + ". " + meal


OPEN = {
    "story": (story, 9), "description": (description, 7), "advice": (advice, 5), "letter": (letter, 6), "weather": (weather, 4),
    "recipe": (recipe, 4), "dialogue": (dialogue, 5), "opinion": (opinion, 6), "poem": (poem, 4), "day_plan": (day_plan, 4),
}
