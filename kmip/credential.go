package kmip

import "strongroom/kmip/ttlv"

// A Credential is what a client says of itself beside its certificate. KMIP 2.1 §9.11.
type Credential struct {
	CredentialType  CredentialType `ttlv:"CredentialType"`
	CredentialValue ttlv.Raw       `ttlv:"CredentialValue"` // by the type, one of those below
}

// UsernameAndPassword is the value of a Username and Password credential.
type UsernameAndPassword struct {
	Username string `ttlv:"Username"`
	Password string `ttlv:"Password,omitempty"`
}

// DeviceCredential is the value of a Device credential. KMIP 1.1 and later.
type DeviceCredential struct {
	DeviceSerialNumber string `ttlv:"DeviceSerialNumber,omitempty"`
	Password           string `ttlv:"Password,omitempty"`
	DeviceIdentifier   string `ttlv:"DeviceIdentifier,omitempty"`
	NetworkIdentifier  string `ttlv:"NetworkIdentifier,omitempty"`
	MachineIdentifier  string `ttlv:"MachineIdentifier,omitempty"`
	MediaIdentifier    string `ttlv:"MediaIdentifier,omitempty"`
}

// Names lists what the credential calls the device.
func (c *DeviceCredential) Names() []string {
	return []string{c.DeviceSerialNumber, c.DeviceIdentifier, c.NetworkIdentifier, c.MachineIdentifier, c.MediaIdentifier}
}

// OneTimePasswordCredential is the value of a One Time Password credential. KMIP 2.0 and later.
type OneTimePasswordCredential struct {
	Username        string `ttlv:"Username"`
	Password        string `ttlv:"Password,omitempty"`
	OneTimePassword string `ttlv:"OneTimePassword"`
}

// HashedPasswordCredential is the value of a Hashed Password credential. KMIP 2.0 and later.
type HashedPasswordCredential struct {
	Username         string                `ttlv:"Username"`
	Timestamp        ttlv.DateTimeExtended `ttlv:"TimeStamp"`
	HashingAlgorithm HashingAlgorithm      `ttlv:"HashingAlgorithm,omitempty"` // 0 is SHA-256
	HashedPassword   []byte                `ttlv:"HashedPassword"`
}

// TicketCredential is the value of a Ticket credential. KMIP 2.0 and later.
type TicketCredential struct {
	Ticket Ticket `ttlv:"Ticket"`
}

// A Ticket stands for a login. Its value is a secret. KMIP 2.1 §7.39.
type Ticket struct {
	TicketType  TicketType `ttlv:"TicketType"`
	TicketValue []byte     `ttlv:"TicketValue"`
}
