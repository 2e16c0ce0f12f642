package kmip

import "strongroom/kmip/ttlv"

// DiscoverVersionsRequest asks which versions are spoken. KMIP 2.1 §6.1.16.
type DiscoverVersionsRequest struct {
	ProtocolVersion []ProtocolVersion `ttlv:"ProtocolVersion"`
}

// DiscoverVersionsResponse lists them, newest first.
type DiscoverVersionsResponse struct {
	ProtocolVersion []ProtocolVersion `ttlv:"ProtocolVersion"`
}

// QueryRequest asks what the server can do. KMIP 2.1 §6.1.40.
type QueryRequest struct {
	QueryFunction []QueryFunction `ttlv:"QueryFunction"`
	ObjectGroups  *ObjectGroups   `ttlv:"ObjectGroups,2.1+"` // that the defaults are asked for
}

// QueryResponse tells. Vendor Identification stands before Server Information, which some clients rely on.
type QueryResponse struct {
	Operation                []Operation                `ttlv:"Operation"`
	ObjectType               []ObjectType               `ttlv:"ObjectType"`
	VendorIdentification     string                     `ttlv:"VendorIdentification,omitempty"`
	ServerInformation        ttlv.Raw                   `ttlv:"ServerInformation"`
	ApplicationNamespace     []string                   `ttlv:"ApplicationNamespace"`
	ExtensionInformation     []ExtensionInformation     `ttlv:"ExtensionInformation,1.1+"`
	AttestationType          []AttestationType          `ttlv:"AttestationType,1.2+"`
	RNGParameters            []RNGParameters            `ttlv:"RNGParameters,1.3+"`
	ProfileInformation       []ProfileInformation       `ttlv:"ProfileInformation,1.3+"`
	CapabilityInformation    []CapabilityInformation    `ttlv:"CapabilityInformation,1.3+"`
	ClientRegistrationMethod []ClientRegistrationMethod `ttlv:"ClientRegistrationMethod,1.3+"`
	DefaultsInformation      *DefaultsInformation       `ttlv:"DefaultsInformation,2.0+"`
	ProtectionStorageMasks   ProtectionStorageMasks     `ttlv:"ProtectionStorageMasks,2.0+|ProtectionStorageMask,2.0+"`
}

// ExtensionInformation describes a vendor's tag. KMIP 2.1 §7.13.
type ExtensionInformation struct {
	ExtensionName string   `ttlv:"ExtensionName"`
	ExtensionTag  *int32   `ttlv:"ExtensionTag,1.1+"`
	ExtensionType ttlv.Raw `ttlv:"ExtensionType,1.1+"` // Integer to 1.4, Enumeration from 2.0
}

// RNGParameters describes a random number generator. KMIP 2.1 §7.36.
type RNGParameters struct {
	RNGAlgorithm           RNGAlgorithm           `ttlv:"RNGAlgorithm"`
	CryptographicAlgorithm CryptographicAlgorithm `ttlv:"CryptographicAlgorithm,omitempty"`
	CryptographicLength    int32                  `ttlv:"CryptographicLength,omitempty"`
	HashingAlgorithm       HashingAlgorithm       `ttlv:"HashingAlgorithm,omitempty"`
	DRBGAlgorithm          DRBGAlgorithm          `ttlv:"DRBGAlgorithm,omitempty"`
	RecommendedCurve       RecommendedCurve       `ttlv:"RecommendedCurve,omitempty"`
	FIPS186Variation       FIPS186Variation       `ttlv:"FIPS186Variation,omitempty"`
	PredictionResistance   *bool                  `ttlv:"PredictionResistance"`
}

// ProfileInformation names a conformance profile. KMIP 2.1 §7.31.
type ProfileInformation struct {
	ProfileName ProfileName `ttlv:"ProfileName"`
	ServerURI   string      `ttlv:"ServerURI,omitempty"`
	ServerPort  int32       `ttlv:"ServerPort,omitempty"`
}

// CapabilityInformation says what of the optional parts of the protocol is there. KMIP 2.1 §7.5.
type CapabilityInformation struct {
	StreamingCapability     *bool              `ttlv:"StreamingCapability"`
	AsynchronousCapability  *bool              `ttlv:"AsynchronousCapability"`
	AttestationCapability   *bool              `ttlv:"AttestationCapability"`
	BatchUndoCapability     *bool              `ttlv:"BatchUndoCapability,1.4+"`
	BatchContinueCapability *bool              `ttlv:"BatchContinueCapability,1.4+"`
	UnwrapMode              UnwrapMode         `ttlv:"UnwrapMode,omitempty"`
	DestroyAction           DestroyAction      `ttlv:"DestroyAction,omitempty"`
	ShreddingAlgorithm      ShreddingAlgorithm `ttlv:"ShreddingAlgorithm,omitempty"`
	RNGMode                 RNGMode            `ttlv:"RNGMode,omitempty"`
	QuantumSafeCapability   *bool              `ttlv:"QuantumSafeCapability,2.0+"`
}
