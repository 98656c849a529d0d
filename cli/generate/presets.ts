/** Every preset of `esc generate` by its name; each has a configuration in config/examples/. */
import { ecommerce } from "./ecommerce.ts";
import { gaming } from "./gaming.ts";
import { iot } from "./iot.ts";
import { market } from "./market.ts";
import type { Preset } from "./preset.ts";

export const PRESETS = { iot, ecommerce, market, gaming } as const satisfies Readonly<Record<string, Preset>>;
export type PresetName = keyof typeof PRESETS;
export const PRESET_NAMES = Object.keys(PRESETS) as readonly PresetName[];
