package conf

// mostSeed is in bytes.
const mostSeed = 4096

func (k *checking) entropy(c *Config) {
	e := &c.Entropy
	switch e.Mode {
	case "off":
	case "augmentation":
		if !c.HasSlot(e.Slot) {
			k.fault("entropy.slot", "%d: no [[hsm.slot]] has that number", e.Slot)
		}
	default:
		k.fault("entropy.mode", "%q: \"off\" or \"augmentation\"", e.Mode)
	}
	switch e.Scope {
	case "all":
		if len(e.Users) > 0 {
			k.fault("entropy.users", "they are for the scope \"opt-in\"; \"all\" is everybody")
		}
	case "opt-in":
	default:
		k.fault("entropy.scope", "%q: \"all\" or \"opt-in\"", e.Scope)
	}
	if e.Seed < -1 || e.Seed > mostSeed {
		k.fault("entropy.seed", "%d: -1 to %d", e.Seed, mostSeed)
	}
}
