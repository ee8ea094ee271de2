import { type Element, xml } from "@xmpp/client";

import { ns } from "./ns";

export { type Element, xml };

/** The child elements of the name, in whichever namespace they are. */
export function children(element: Element | undefined, name: string): Element[] {
  return element?.getChildElements().filter((child) => child.name === name) ?? [];
}

/** The first child in the namespace. */
export function childOf(element: Element, xmlns: string): Element | undefined {
  return element.getChildElements().find((child) => child.getNS() === xmlns);
}

/** A form to submit (XEP-0004). */
export function form(type: string, fields: Record<string, string | string[]>): Element {
  const field = (name: string, values: string[], kind?: string) =>
    xml("field", { var: name, type: kind }, ...values.map((value) => xml("value", {}, value)));
  const rest = Object.entries(fields).map(([name, value]) => field(name, [value].flat()));
  return xml(
    "x",
    { xmlns: ns.dataForms, type: "submit" },
    field("FORM_TYPE", [type], "hidden"),
    ...rest,
  );
}

/** The values of a form that somebody sent. */
export function formValues(x: Element | undefined): Map<string, string[]> {
  const fields = children(x, "field");
  return new Map(
    fields.map((field) => [
      field.attrs.var ?? "",
      children(field, "value").map((value) => value.text()),
    ]),
  );
}

/** The condition of a stanza error (RFC 6120, section 8.3.3). */
export function errorCondition(stanza: Element): string {
  const error = stanza.getChild("error");
  const condition = error?.getChildElements().find((child) => child.getNS() === ns.stanzas);
  return condition?.name ?? "undefined-condition";
}
