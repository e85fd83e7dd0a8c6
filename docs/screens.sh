#!/usr/bin/env bash
# Walks through a review in a real terminal (tmux, 80 x 24) and keeps its screens in docs/src/screens/.
# From the project's folder, with the program built:  docs/screens.sh target/release/samemodel
set -euo pipefail

program=$(realpath "${1:?the program}")
shipped=$(realpath prompts/lab)
screens=$(realpath docs/src/screens)
work=$(mktemp -d)
session="samemodel-screens-$$"
trap 'tmux kill-session -t "$session" 2>/dev/null || true; rm -rf "$work"' EXIT

configure() {
    cat > "$work/providers.toml" <<TOML
[provider.host]
base_url = "$1"

[model.lab]
reference = "snapshot"
probes = ["prompts"]

[[model.lab.endpoint]]
name = "host"
provider = "host"
model = "lab"
TOML
}

# Waits until the screen shows the words, and keeps it under the name.
screen() {
    local name=$1 words=$2
    for _ in $(seq 300); do
        if tmux capture-pane -p -t "$session" | grep -qF -- "$words"; then
            tmux capture-pane -p -t "$session" | sed -e 's/ *$//' -e "s|$work|~/hosts|g" | sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' > "$screens/$name.txt"
            return
        fi
        sleep 0.2
    done
    echo "the screen never showed \"$words\":" >&2
    tmux capture-pane -p -t "$session" >&2
    exit 1
}

# Types a line once the shell waits for one: what is typed before its prompt is there is shown twice.
type_line() {
    for _ in $(seq 300); do
        # The prompt is the last line that is not empty, with nothing behind it.
        if tmux capture-pane -p -t "$session" | grep -v '^ *$' | tail -1 | grep -qx '\$ *'; then
            tmux send-keys -t "$session" "$1" Enter
            return
        fi
        sleep 0.2
    done
    echo "the shell never waited for \"$1\":" >&2
    tmux capture-pane -p -t "$session" >&2
    exit 1
}

mkdir -p "$work/prompts"
cp "$shipped"/sampled/poems.toml "$shipped"/greedy/weather.toml "$shipped"/greedy/stories.toml "$work/prompts/"
ln -s "$program" "$work/samemodel"
configure "lab:"
tmux new-session -d -s "$session" -x 80 -y 24 -c "$work" "env -u CI -u SAMEMODEL_UPDATE PS1='\$ ' PATH='$work:$PATH' NO_COLOR=1 bash --norc --noprofile"

type_line "samemodel test lab --endpoint host --seed 1 --quiet"
screen 1-first-run "1 unmeasured"
type_line "clear; samemodel accept --all | tail -3; samemodel pending"
screen 2-accepted "nothing waits for review"
configure "lab:swapped-model"
type_line "clear; samemodel test lab --seed 2 --quiet"
screen 3-drifted "1 drifted"
type_line "clear; samemodel pending | tail -4"
screen 4-pending "approved"
type_line "clear; samemodel review"
screen 5-review "a accept"
tmux send-keys -t "$session" "Space"
screen 6-scrolled "to "
tmux send-keys -t "$session" "i"
screen 7-info "verdict"
tmux send-keys -t "$session" "i" "d"
screen 8-diff "- 1 ×"
tmux send-keys -t "$session" "d" "?"
screen 9-help "take the last decision back"
tmux send-keys -t "$session" "?" "a"
screen 10-next "snapshot 2 of"
tmux send-keys -t "$session" "u"
screen 11-undone "taken back"
tmux send-keys -t "$session" "R"
screen 12-asked "y does, any other key does not"
tmux send-keys -t "$session" "y"
screen 13-all-decided "all decided"
tmux send-keys -t "$session" "q"
screen 14-rejected "rejected"
echo "the screens are in $screens"
