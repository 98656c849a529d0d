/**
 * Machines in four plants with a thermometer, a manometer and a vibration sensor each.
 *
 * Values wander around their middle. Now and then a machine overheats: it gains some degrees a reading until
 * somebody cools it.
 */
import { PRIORITY_MEDIUM } from "../../src/event/frame.ts";
import type { Preset } from "./preset.ts";
import { rounded } from "./random.ts";

const PLANTS = 4;
const MACHINES = 40;
const CALM_CELSIUS = 62;
/** One reading in so many begins an overheating. */
const OVERHEATS_ONE_IN = 300;
const GAIN_CELSIUS = 6;
const COOLED_CELSIUS = 112;

interface Machine {
  readonly name: string;
  readonly plant: string;
  celsius: number;
  isHot: boolean;
}

export const iot: Preset = (random) => {
  const machines = Array.from({ length: MACHINES }, (_, index): Machine => ({
    name: `machine-${index + 1}`,
    plant: `plant-${(index % PLANTS) + 1}`,
    celsius: CALM_CELSIUS,
    isHot: false,
  }));
  const calm = machines[0] as Machine;
  return () => {
    // A machine that overheats is read more often: its own alarm sees to that.
    const hot = machines.find((machine) => machine.isHot);
    const machine = hot !== undefined && random.chance(0.2) ? hot : random.pick([calm, ...machines.slice(1)]);
    const event = (kind: string, fields: Readonly<Record<string, unknown>>) => ({
      topic: `sensor.${machine.plant}.${kind}`,
      priority: PRIORITY_MEDIUM,
      key: machine.name,
      payload: { device: machine.name, plant: machine.plant, ...fields },
    });
    const chosen = machine.isHot ? 0 : random.next();
    if (chosen >= 0.8) return event("vibration", { mm_per_s: rounded(2.5 + Math.abs(random.bell()), 2) });
    if (chosen >= 0.5) return event("pressure", { bar: rounded(6 + 0.3 * random.bell(), 2) });
    if (machine.isHot) {
      machine.celsius += GAIN_CELSIUS * random.next();
      if (machine.celsius > COOLED_CELSIUS) {
        machine.isHot = false;
        machine.celsius = CALM_CELSIUS;
      }
    } else {
      machine.celsius += 0.2 * (CALM_CELSIUS - machine.celsius) + random.bell();
      machine.isHot = random.chance(1 / OVERHEATS_ONE_IN);
    }
    return event("temperature", { celsius: rounded(machine.celsius, 1) });
  };
};
