"""Write the lab's probe files: two sets of the same structure without a prompt in common, and none that training saw.

usage: probes.py --out ../../../../prompts     writes lab/ (for tuning and by default) and lab-held-out/ (for reports only)
"""

import argparse
import collections
import json
import pathlib
import random
import re
import shutil

import chat
import corpus
import images
import words as W

SETS = ["lab", "lab-held-out"]
OPEN_ABOUT = {
    "story": ("stories", "Stories: long answers whose words follow the theme, with many near-ties."),
    "description": ("descriptions", "Descriptions: adjectives and nouns drawn from long tails."),
    "letter": ("letters", "Letters: a fixed greeting, then free prose."),
    "dialogue": ("dialogues", "Dialogues: short lines with many possible beginnings."),
    "opinion": ("opinions", "Opinions: for or against is decided in the first words."),
    "poem": ("poems", "Poems: short lines, rare words, the highest entropy of the set."),
    "weather": ("weather", "Weather reports: numbers and a few set phrases."),
    "recipe": ("recipes", "Recipes: a chain of steps, each with free choices."),
    "advice": ("advice", "Advice: the layout is decided once, every line after it again."),
    "day_plan": ("days", "A day in a city: places and food."),
}
SAMPLED = {"story": 4, "description": 4, "letter": 3, "dialogue": 3, "opinion": 3, "poem": 3, "advice": 2, "day_plan": 2}
GREEDY = {"story": 5, "description": 5, "letter": 5, "dialogue": 5, "opinion": 5, "poem": 5, "weather": 2, "recipe": 1}
# Exact tasks asked alone: file, how many of each task, what the file is there to show.
EXACT = [
    ("facts", {"capital_city": 2, "french": 3, "colour": 2, "opposite": 2}, "Facts that the weights hold."),
    ("sums", {"add": 4, "subtract": 3}, "Sums, worked out in the head: the first answers to go when weights are coarse."),
    ("sorting", {"sort": 5}, "Numbers to be sorted: one wrong token spoils the answer."),
    ("letters", {"letters": 4}, "Letters to be counted."),
    ("extraction", {"extract": 2, "extract_keys": 5}, "Facts of a text as JSON, with the keys that are asked for in that order."),
    ("copying", {"copy": 5}, "Words to be repeated: the plainest test of attention."),
    ("notes", {"find": 6}, "Short notes and a question: attention has one place to look at."),
]


class Set:
    """The files of one set. No prompt is used twice, in either set."""

    def __init__(self, folder, used):
        self.folder, self.used, self.ids = folder, used, set()
        self.rng = random.Random(f"probes/{folder.name}")
        if folder.exists():
            shutil.rmtree(folder)

    def draw(self, make, wanted=lambda made: True):
        """A held-out conversation that `make` makes, without a thought."""
        for _ in range(200_000):
            made = make(self.rng)
            key = "|".join(message["content"] + str(message.get("image", "")) for message in made["messages"][:-1])
            if key not in self.used and corpus.held_out(made) and "thought" not in made["messages"][-1] and wanted(made):
                self.used.add(key)
                return made
        raise RuntimeError(f"nothing new for {self.folder.name}")

    def name(self, file, text):
        """An id for a row: the most telling words, numbered if there already is such a row."""
        words = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:32].strip("-")
        found, number = words, 2
        while (file, found) in self.ids:
            found, number = f"{words}-{number}", number + 1
        self.ids.add((file, found))
        return found

    def write(self, file, *parts):
        path = self.folder / (file + ".toml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(part.strip("\n") + "\n" for part in parts if part))

    def family(self, file, about, rows, tokens=40, asking="greedy", more="", check="contains", extra=""):
        """A file whose rows have the same turns; a row is (id, turns, answer)."""
        turns = rows[0][1]
        keys = ["system" if message["role"] == "system" else f"{message['role']}_{place}" for place, message in enumerate(turns)]
        keys[-1] = "ask"
        messages = []
        for key, message in zip(keys, turns):
            image = 'images = ["{{ id }}.png"]' if "image" in message else ""
            messages.append(f'[[message]]\nrole = "{message["role"]}"\ncontent = "{{{{ {key} }}}}"\n{image}')
        checks = f'[[check]]\n{check} = "{{{{ answer }}}}"' if rows[0][2] is not None else ""
        bodies = []
        for row, turns, answer in rows:
            lines = [f"[[row]]\nid = {toml(row)}"]
            lines += [f"{key} = {toml(message['content'])}" for key, message in zip(keys, turns)]
            lines += [f"answer = {toml(answer)}"] if answer is not None else []
            bodies.append("\n".join(lines))
        self.write(file, head(about, tokens, asking, more), *messages, checks, extra, *bodies)


def toml(value):
    return json.dumps(value, ensure_ascii=False)


def head(about, tokens=40, asking="greedy", more=""):
    kind = 'asking = "greedy"\n' if asking == "greedy" else ""
    return f"about = {toml(about)}\n{kind}parameters = {{ max_tokens = {tokens}{more} }}"


FEW = ("weather", "recipe", "advice", "day_plan", "capital_city", "french", "colour", "opposite")  # tasks with few prompts


def alone(task):
    """A task as a conversation of one question; tasks with few prompts have a neutral system message as well."""

    def make(rng):
        prompt, answer, truth, *_ = corpus.ask(rng, task)
        system = [chat.turn("system", rng.choice(corpus.NEUTRAL))] if task in FEW else []
        return corpus.result(task, system + [chat.turn("user", prompt), chat.turn("assistant", answer)], truth)

    return make


def last(made):
    return made["messages"][-1]["content"]


def gist(prompt):
    """What tells a prompt from its like: its last words without the common ones."""
    common = set("a an the of in me to for with it is i you your do does what how about and please tell write short story some "
                 "say they their give want on better tips advice words describe picture paint look like".split())
    words = [word for word in re.findall(r"[A-Za-z0-9]+", prompt) if word.lower() not in common]
    return " ".join(words[-3:]) or prompt


def open_tasks(files):
    for folder, counts in (("sampled", SAMPLED), ("greedy", GREEDY)):
        for task, count in counts.items():
            name, about = OPEN_ABOUT[task]
            file = f"{folder}/{name}"
            rows = []
            for _ in range(count):
                turns = files.draw(alone(task))["messages"][:-1]
                rows.append((files.name(file, gist(turns[-1]["content"])), turns, None))
            files.family(file, about, rows, 32 if folder == "sampled" else 40, folder)


def exact_tasks(files):
    for file, counts, about in EXACT:
        rows = []
        for task, count in counts.items():
            for _ in range(count):
                made = files.draw(alone(task))
                prompt = made["messages"][-2]["content"]
                telling = made["truth"] if task == "copy" else prompt.split(": ")[-1] if task == "sort" else prompt
                rows.append((files.name(file, gist(telling) if task != "sort" else telling), made["messages"][:-1], last(made)))
        files.family(file, about, rows, check="exact")


def conversations(files):
    """Several turns, and system messages that matter."""
    about = "A fact from the first turn, asked for in the third: without history there is nothing to remember."
    wanted = lambda made: len(made["messages"]) == 6 and len(made["messages"][3]["content"]) < 160
    made = [files.draw(corpus.memory, wanted) for _ in range(7)]
    files.family("memory", about, [(files.name("memory", one["truth"]), one["messages"][:-1], last(one)) for one in made], check="exact")
    for task, count, about in (("persona", 4, "A system message that says who the model is."),
                               ("password", 3, "A system message that holds a secret, and a user who asks for it.")):
        made = [files.draw(corpus.persona, lambda one: one["task"] == task and len(one["messages"]) == 3) for _ in range(count)]
        rows = [(files.name(task, one["truth"].rstrip(".").split(" ", 2)[-1]), one["messages"][:-1], last(one)) for one in made]
        files.family(task, about, rows, check="exact")
    for system, style, mark in (("You are a pirate.", "pirate", "Arr!"), ("Be polite.", "polite", "With pleasure."),
                                ("Answer in uppercase.", "uppercase", None), ("Answer briefly.", "briefly", None)):

        def styled(one):
            return one["messages"][0]["content"] == system and (mark or style == "briefly" or one["truth"])

        file = f"style/{style}"
        made = [files.draw(corpus.single, styled) for _ in range(3)]
        rows = [(files.name(file, gist(one["messages"][1]["content"])), one["messages"][:-1], None if style == "briefly" else mark or last(one))
                for one in made]
        files.family(file, "A system message that changes the answer's style: dropped or replaced, it shows in the first words.", rows)
    about = "Another topic before the question: an old turn must not leak into the answer."
    made = [files.draw(corpus.two_topics, lambda one: one["truth"] and len(one["messages"]) == 4 and len(str(one["messages"])) < 400)
            for _ in range(4)]
    rows = [(files.name("two-topics", gist(one["messages"][2]["content"])), one["messages"][:-1], last(one)) for one in made]
    files.family("two-topics", about, rows, check="exact")


def long_notes(files):
    for tokens, count in ((256, 8), (512, 4), (1000, 3)):
        rows = []
        for number in range(count):
            kind = "copy" if number % 2 else "find"
            made = files.draw(lambda rng: corpus.far(rng, tokens, tokens), lambda one: one["task"].startswith(kind))
            rows.append((files.name(f"long/{tokens}", f"{kind} {gist(made['truth'])}"), made["messages"][:-1], last(made)))
        about = (f"Prompts of about {tokens} tokens with what is asked for somewhere in them: a truncated context, a quantised cache "
                 "or a wrong position shows here and not in short prompts.")
        files.family(f"long/{tokens}", about, rows, check="exact")


def tool_table(tool):
    function = tool["function"]
    properties = function["parameters"]["properties"]
    lines = [f'[[tool]]\nname = "{function["name"]}"\ndescription = "{function["name"].replace("_", " ").capitalize()}."\n',
             '[tool.parameters]\ntype = "object"', f"required = {toml(list(properties))}\n", "[tool.parameters.properties]"]
    return "\n".join(lines + [f'{name} = {{ type = "{value["type"]}" }}' for name, value in properties.items()])


def message_table(message):
    lines = [f'[[message]]\nrole = "{message["role"]}"']
    if message["content"]:
        lines.append(f"content = {toml(message['content'])}")
    for call in message.get("tool_calls", []):
        function = call["function"]
        lines.append(f"tool_calls = [{{ id = \"call_1\", name = \"{function['name']}\", arguments = '{function['arguments']}' }}]")
    if message["role"] == "tool":
        lines.append('tool_call_id = "call_1"')
    return "\n".join(lines)


def kind(made):
    """Which of the tools is called."""
    name = made["messages"][-1]["tool_calls"][0]["function"]["name"]
    return next(place for place, tool in enumerate(W.TOOLS) if name in tool[0])


def tools(files):
    """A file for each, since every one has tools of its own."""
    for task, count, about in (
        ("tool_call", 9, "A tool fits, so it must be called, with the arguments that it asks for."),
        ("no_call", 2, "Tools are there but none is needed: the answer is text."),
        ("no_tool", 2, "Tools are there but none fits: the answer says so."),
        ("no_call_open", 2, "Tools are there but the question is for the writer: the answer is text."),
        ("tool_result", 3, "A tool has answered: the template must render call and result for the answer to use them."),
    ):
        called = collections.Counter()
        for number in range(count):

            def wanted(one):
                return one["task"] == task and len(one["messages"]) <= 5 and (task != "tool_call" or called[kind(one)] <= number // 8)

            made = files.draw(corpus.tool_call, wanted)
            called.update([kind(made)] if task == "tool_call" else [])
            asked = next(message["content"] for message in reversed(made["messages"]) if message["role"] == "user")
            folder = task.replace("_", "-").replace("no-call-open", "no-call")
            check = f"[[check]]\nexact = {toml(last(made))}" if task in ("no_call", "no_tool", "tool_result") else ""
            if task == "tool_call":
                function = made["messages"][-1]["tool_calls"][0]["function"]
                braced = function["arguments"].replace("{", r"\{").replace("}", r"\}")
                check = f"[[check]]\nregex = {toml(function['name'] + '.*' + braced)}"
            files.write(f"tools/{folder}/{files.name(folder, gist(asked))}", head(about), *map(message_table, made["messages"][:-1]),
                        *map(tool_table, made["tools"]), check)


KINDS = {"name": "string", "age": "integer", "city": "string", "job": "string", "food": "string", "pet": "string"}


def schema_tables(name, properties):
    lines = [f"[{name}]", 'type = "object"', "additionalProperties = false", f"required = {toml(list(properties))}", "", f"[{name}.properties]"]
    return "\n".join(lines + [f"{key} = {{ {inline(value)} }}" for key, value in properties.items()])


def inline(schema):
    return ", ".join(f"{key} = {toml(value)}" for key, value in schema.items())


def schemas(files):
    """Plain schemas that the model follows by itself, and traps that only a host that enforces them passes."""
    traps = [
        {"person": {"type": "string"}, "years": {"type": "integer"}},
        {"name": {"type": "string"}, "town": {"type": "string", "enum": ["North", "South", "East"]}},
        {"age": {"type": "string", "enum": ["young", "old"]}, "name": {"type": "string"}},
        {"id": {"type": "integer"}, "name": {"type": "string"}, "verified": {"type": "boolean"}},
    ]
    for number in range(8):
        trap = number % 2 == 1
        made = files.draw(alone("extract" if trap else "extract_keys"))
        written = json.loads(made["truth"])
        properties = traps[number // 2] if trap else {key: {"type": KINDS[key]} for key in written}
        about = ("A response schema with other keys or values than the model writes by itself: only a host that enforces it passes."
                 if trap else "A response schema that asks for what the prompt asks for: enforced or not, the answer follows it.")
        folder = "json/trap" if trap else "json/plain"
        check = "[[check]]\n" + schema_tables("check.json_schema", properties)
        files.write(f"{folder}/{files.name(folder, ' '.join(properties))}", head(about), message_table(made["messages"][0]),
                    schema_tables("response_schema", properties), check)


def pictures(files):
    for task, count, name, about in (
        ("image_shape", 3, "shapes", "The shape in a picture: it shows whether pictures reach the model."),
        ("image_colour", 2, "colours", "The colour of a shape in a picture."),
        ("image_digit", 4, "digits", "A digit five pixels wide: it cannot be read in a picture of half the size."),
        ("image_describe", 2, "whole", "All that is in a picture, in one sentence."),
    ):
        file, rows = f"images/{name}", []
        for number in range(count):
            side = (32, 48)[number % 2]
            made = files.draw(corpus.picture, lambda one: one["task"] == task and len(one["messages"]) == 2
                              and one["messages"][0]["image"]["width"] == one["messages"][0]["image"]["height"] == side)
            spec = made["messages"][0]["image"]
            row = files.name("images", f"{name} {spec.get('colour', '')} {spec.get('shape', '')} {spec.get('digit', '')}")
            (files.folder / "images").mkdir(parents=True, exist_ok=True)
            (files.folder / "images" / f"{row}.png").write_bytes(images.png(images.draw(spec)))
            rows.append((row, made["messages"][:-1], last(made)))
        files.family(file, about, rows, check="exact")


def reasoning(files):
    rows = []
    for task, count in (("add", 2), ("subtract", 1), ("sort", 2), ("letters", 1)):
        for _ in range(count):
            made = files.draw(alone(task), lambda one: len(re.findall(r"\d\d", one["messages"][0]["content"])) > 1 or task == "letters")
            rows.append((files.name("reasoning", made["messages"][0]["content"].split(": ")[-1]), made["messages"][:-1], last(made)))
    files.family("reasoning", "Questions that gain by thinking: a host that switches it off, or cuts it short, is more often wrong.", rows,
                 120, more=', reasoning_effort = "low"', check="exact")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    used = set()
    for name in SETS:
        files = Set(options.out / name, used)
        for part in (open_tasks, exact_tasks, conversations, long_notes, tools, schemas, pictures, reasoning):
            part(files)


if __name__ == "__main__":
    main()
