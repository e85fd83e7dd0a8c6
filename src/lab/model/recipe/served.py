"""Measure calls of tools and JSON as clients get them: from a running host, over HTTP, at temperature 0.

Each conversation is asked twice: freely, and bound to a schema (tools that are strict and one of which has to be called, or a
response format). An answer is right if its values are the truth's under the same names, for a call the tool's name included.
Conversations should be held out (corpus.py --held-out).
usage: samemodel lab serve --port 8000, and then: served.py --url http://127.0.0.1:8000/v1 --validation valid.jsonl
"""

import argparse
import collections
import json
import urllib.request

TASKS = ["extract", "extract_keys", "tool_call"]
TYPES = {str: "string", int: "integer", bool: "boolean", float: "number"}


def ask(url, body):
    """The message that comes back."""
    request = urllib.request.Request(url + "/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["choices"][0]["message"]


def message(said):
    """A message of the corpus as the API takes it."""
    calls = [{"id": "call_0", "type": "function", "function": call["function"]} for call in said.get("tool_calls", [])]
    if calls:
        return {"role": said["role"], "content": None, "tool_calls": calls}
    return {"role": said["role"], "content": said["content"], **({"tool_call_id": "call_0"} if said["role"] == "tool" else {})}


def schema(truth):
    properties = {name: {"type": TYPES[type(value)]} for name, value in truth.items()}
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def request(example, bound):
    """What is asked for the last answer of a conversation."""
    body = {"model": "lab", "messages": [message(said) for said in example["messages"][:-1]], "temperature": 0, "max_tokens": 96}
    if "tools" in example:
        tools = json.loads(json.dumps(example["tools"]))
        for tool in tools:
            tool["function"]["strict"] = bound
        body |= {"tools": tools, **({"tool_choice": "required"} if bound else {})}
    elif bound:
        wanted = {"name": "answer", "strict": True, "schema": schema(json.loads(example["truth"]))}
        body["response_format"] = {"type": "json_schema", "json_schema": wanted}
    return body


def values(said):
    """The tool that is called, if one is, and the values; nothing where there is no JSON."""
    call = said["tool_calls"][0]["function"] if said.get("tool_calls") else None
    try:
        return call and call["name"], json.loads(call["arguments"] if call else said.get("content") or "")
    except json.JSONDecodeError:
        return None


def mistake(truth, said):
    """What is wrong with a call that was asked for freely."""
    if said is None or said[0] is None:
        return "no call"
    if said[0] != truth[0]:
        return "another tool"
    same = isinstance(said[1], dict) and sorted(map(str, said[1].values())) == sorted(map(str, truth[1].values()))
    return "the right values under other names" if same else "other values"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--most", type=int, default=200, help="conversations of each task")
    parser.add_argument("--show", type=int, default=0, help="wrong answers to show of each task")
    options = parser.parse_args()
    with open(options.validation, encoding="utf-8") as lines:
        examples = [json.loads(line) for line in lines]
    print("| task | freely | bound to a schema | of |\n|---|---|---|---|")
    for task in TASKS:
        chosen = [example for example in examples if example["task"] == task][: options.most]
        right, mistakes, wrong = collections.Counter(), collections.Counter(), []
        for example in chosen:
            truth = values(example["messages"][-1])
            for bound in (False, True):
                said = values(ask(options.url, request(example, bound)))
                right[bound] += said == truth
                if said != truth and not bound and truth[0] is not None:
                    mistakes[mistake(truth, said)] += 1
                if bound and said != truth:
                    wrong.append((truth, said))
        shares = " | ".join(f"{right[bound] / len(chosen):.2f}" for bound in (False, True))
        print(f"| `{task}` | {shares} | {len(chosen)} |", flush=True)
        for what, count in mistakes.most_common():
            print(f"  wrong, freely: {what}, {count}")
        for truth, said in wrong[: options.show]:
            print(f"  truth {truth}, answer {said}")


if __name__ == "__main__":
    main()
