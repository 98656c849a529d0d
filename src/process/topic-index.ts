/**
 * Which of many things want a topic: those that name topics outright are found by one look into a table, and only
 * those with wildcards are asked one by one. A plan for a new topic must not cost as much as there are rules.
 */
import { compilePatterns, type TopicMatcher } from "../event/topic.ts";

export class TopicIndex<T> {
  readonly #things: readonly T[];
  /** Places of the things that name a topic, in their order. */
  readonly #byTopic = new Map<string, number[]>();
  /** Those with a wildcard, in their order. */
  readonly #matchers: (readonly [place: number, matcher: TopicMatcher])[] = [];

  /** @param topicsOf Topics and patterns of a thing, checked before. */
  constructor(things: readonly T[], topicsOf: (thing: T) => readonly string[]) {
    this.#things = things;
    for (const [place, thing] of things.entries()) {
      const topics = topicsOf(thing);
      if (topics.some(hasWildcard)) {
        this.#matchers.push([place, compilePatterns(topics)]);
        continue;
      }
      for (const topic of new Set(topics)) {
        const places = this.#byTopic.get(topic);
        if (places === undefined) this.#byTopic.set(topic, [place]);
        else places.push(place);
      }
    }
  }

  /** The things that want the topic, in the order given. */
  find(topic: string): readonly T[] {
    const places = [...this.#byTopic.get(topic) ?? []];
    const bytes = Buffer.from(topic);
    for (const [place, matcher] of this.#matchers) {
      if (matcher.matches(bytes, 0, bytes.length)) places.push(place);
    }
    places.sort((a, b) => a - b);
    return places.map((place) => this.#things[place] as T);
  }
}

function hasWildcard(pattern: string): boolean {
  return pattern.split(/[./]/).some((token) => token === "*" || token === ">");
}
