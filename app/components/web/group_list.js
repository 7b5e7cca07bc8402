// The groups of a graph. Value: [{key, name, proposed, members: [{id, label}], more}]; prop: concept {id, label}.
const F = window.Fulcrum;
const root = element.querySelector(".fc-root");
root.classList.add("fc-groups");

function named(group) {
  const name = F.el("input", "fc-group-name");
  name.id = `group-name-${group.key}`;
  name.value = group.name;
  name.maxLength = 120;
  name.title = "Edit the name, Enter keeps it";
  name.setAttribute("aria-label", "Name of the group; edit and press Enter to keep it");
  name.addEventListener("keydown", (event) => {
    if (event.key === "Enter") name.blur();
    if (event.key === "Escape") { name.value = group.name; name.blur(); }
  });
  name.addEventListener("blur", () => {
    const text = name.value.trim();
    if (text && text !== group.name) trigger("group_rename", { key: group.key, name: text });
    else name.value = group.name;
  });
  return name;
}

function member(group, one) {
  const chip = F.el("span", "fc-group-member");
  const open = F.button("fc-quiet", one.label, () => trigger("group_open", { id: one.id }), `Open ${one.label}`);
  open.title = one.id;
  const gone = F.button("fc-quiet", "×", () => trigger("group_remove", { key: group.key, id: one.id }), `Take ${one.label} out of ${group.name}`);
  return F.add(chip, open, gone);
}

function row(group) {
  const box = F.el("section", "fc-group"), chosen = props.concept || {};
  box.dataset.key = group.key;
  const head = F.add(F.el("div", "fc-group-head"), named(group));
  if (group.proposed) F.add(head, F.el("span", "fc-note", "proposed"));
  if (chosen.id && !group.members.some((one) => one.id === chosen.id)) {
    F.add(head, F.button("fc-quiet", "+ member", () => trigger("group_add", { key: group.key, id: chosen.id }), `Add ${chosen.label} to ${group.name}`));
  }
  F.add(head, F.button("fc-quiet", "Delete", () => trigger("group_delete", { key: group.key }), `Delete the group ${group.name}`));
  const line = F.el("div", "fc-wordline");
  for (const one of group.members) F.add(line, member(group, one));
  if (group.more) F.add(line, F.el("span", "fc-note", `and ${group.more} more`));
  return F.add(box, head, line);
}

function draw() {
  const rows = props.value || [], chosen = props.concept || {};
  root.replaceChildren();
  const propose = F.button("fc-quiet", "Propose groups", () => trigger("groups_propose", {}), "Propose groups of concepts that do the same work");
  propose.id = "groups-propose";
  const fresh = F.button("fc-quiet", "New group of the chosen concept", () => trigger("group_new", { id: chosen.id }));
  fresh.id = "group-new";
  fresh.disabled = !chosen.id;
  F.add(root, F.add(F.el("div", "fc-group-head"), propose, fresh,
    F.el("span", "fc-note", "By shared edges, companions and decoder rows; a start to correct, not a finding. Your groups stay.")));
  if (!rows.length) F.add(root, F.el("div", "fc-empty", "No groups yet."));
  for (const group of rows) F.add(root, row(group));
}

watch(["value", "concept"], draw);
draw();
