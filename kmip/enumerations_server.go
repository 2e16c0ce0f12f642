package kmip

import "strongroom/kmip/ttlv"

// ProfileName is a profile of the standard that the server follows (KMIP 2.1 §11.41).
type ProfileName uint32

// Values of ProfileName. Those below 0x100 are of KMIP 1.3 and 1.4.
const (
	ProfileNameBaselineServerBasicKMIPV1_2                       ProfileName = 1
	ProfileNameBaselineServerTLSV1_2KMIPV1_2                     ProfileName = 2
	ProfileNameBaselineClientBasicKMIPV1_2                       ProfileName = 3
	ProfileNameBaselineClientTLSV1_2KMIPV1_2                     ProfileName = 4
	ProfileNameCompleteServerBasicKMIPV1_2                       ProfileName = 5
	ProfileNameCompleteServerTLSV1_2KMIPV1_2                     ProfileName = 6
	ProfileNameTapeLibraryClientKMIPV1_0                         ProfileName = 7
	ProfileNameTapeLibraryClientKMIPV1_1                         ProfileName = 8
	ProfileNameTapeLibraryClientKMIPV1_2                         ProfileName = 9
	ProfileNameTapeLibraryServerKMIPV1_0                         ProfileName = 10
	ProfileNameTapeLibraryServerKMIPV1_1                         ProfileName = 11
	ProfileNameTapeLibraryServerKMIPV1_2                         ProfileName = 12
	ProfileNameSymmetricKeyLifecycleClientKMIPV1_0               ProfileName = 13
	ProfileNameSymmetricKeyLifecycleClientKMIPV1_1               ProfileName = 14
	ProfileNameSymmetricKeyLifecycleClientKMIPV1_2               ProfileName = 15
	ProfileNameSymmetricKeyLifecycleServerKMIPV1_0               ProfileName = 16
	ProfileNameSymmetricKeyLifecycleServerKMIPV1_1               ProfileName = 17
	ProfileNameSymmetricKeyLifecycleServerKMIPV1_2               ProfileName = 18
	ProfileNameAsymmetricKeyLifecycleClientKMIPV1_0              ProfileName = 19
	ProfileNameAsymmetricKeyLifecycleClientKMIPV1_1              ProfileName = 20
	ProfileNameAsymmetricKeyLifecycleClientKMIPV1_2              ProfileName = 21
	ProfileNameAsymmetricKeyLifecycleServerKMIPV1_0              ProfileName = 22
	ProfileNameAsymmetricKeyLifecycleServerKMIPV1_1              ProfileName = 23
	ProfileNameAsymmetricKeyLifecycleServerKMIPV1_2              ProfileName = 24
	ProfileNameBasicCryptographicClientKMIPV1_2                  ProfileName = 25
	ProfileNameBasicCryptographicServerKMIPV1_2                  ProfileName = 26
	ProfileNameAdvancedCryptographicClientKMIPV1_2               ProfileName = 27
	ProfileNameAdvancedCryptographicServerKMIPV1_2               ProfileName = 28
	ProfileNameRNGCryptographicClientKMIPV1_2                    ProfileName = 29
	ProfileNameRNGCryptographicServerKMIPV1_2                    ProfileName = 30
	ProfileNameBasicSymmetricKeyFoundryClientKMIPV1_0            ProfileName = 31
	ProfileNameIntermediateSymmetricKeyFoundryClientKMIPV1_0     ProfileName = 32
	ProfileNameAdvancedSymmetricKeyFoundryClientKMIPV1_0         ProfileName = 33
	ProfileNameBasicSymmetricKeyFoundryClientKMIPV1_1            ProfileName = 34
	ProfileNameIntermediateSymmetricKeyFoundryClientKMIPV1_1     ProfileName = 35
	ProfileNameAdvancedSymmetricKeyFoundryClientKMIPV1_1         ProfileName = 36
	ProfileNameBasicSymmetricKeyFoundryClientKMIPV1_2            ProfileName = 37
	ProfileNameIntermediateSymmetricKeyFoundryClientKMIPV1_2     ProfileName = 38
	ProfileNameAdvancedSymmetricKeyFoundryClientKMIPV1_2         ProfileName = 39
	ProfileNameSymmetricKeyFoundryServerKMIPV1_0                 ProfileName = 40
	ProfileNameSymmetricKeyFoundryServerKMIPV1_1                 ProfileName = 41
	ProfileNameSymmetricKeyFoundryServerKMIPV1_2                 ProfileName = 42
	ProfileNameOpaqueManagedObjectStoreClientKMIPV1_0            ProfileName = 43
	ProfileNameOpaqueManagedObjectStoreClientKMIPV1_1            ProfileName = 44
	ProfileNameOpaqueManagedObjectStoreClientKMIPV1_2            ProfileName = 45
	ProfileNameOpaqueManagedObjectStoreServerKMIPV1_0            ProfileName = 46
	ProfileNameOpaqueManagedObjectStoreServerKMIPV1_1            ProfileName = 47
	ProfileNameOpaqueManagedObjectStoreServerKMIPV1_2            ProfileName = 48
	ProfileNameSuiteBMinLOS128ClientKMIPV1_0                     ProfileName = 49
	ProfileNameSuiteBMinLOS128ClientKMIPV1_1                     ProfileName = 50
	ProfileNameSuiteBMinLOS128ClientKMIPV1_2                     ProfileName = 51
	ProfileNameSuiteBMinLOS128ServerKMIPV1_0                     ProfileName = 52
	ProfileNameSuiteBMinLOS128ServerKMIPV1_1                     ProfileName = 53
	ProfileNameSuiteBMinLOS128ServerKMIPV1_2                     ProfileName = 54
	ProfileNameSuiteBMinLOS192ClientKMIPV1_0                     ProfileName = 55
	ProfileNameSuiteBMinLOS192ClientKMIPV1_1                     ProfileName = 56
	ProfileNameSuiteBMinLOS192ClientKMIPV1_2                     ProfileName = 57
	ProfileNameSuiteBMinLOS192ServerKMIPV1_0                     ProfileName = 58
	ProfileNameSuiteBMinLOS192ServerKMIPV1_1                     ProfileName = 59
	ProfileNameSuiteBMinLOS192ServerKMIPV1_2                     ProfileName = 60
	ProfileNameStorageArrayWithSelfEncryptingDriveClientKMIPV1_0 ProfileName = 61
	ProfileNameStorageArrayWithSelfEncryptingDriveClientKMIPV1_1 ProfileName = 62
	ProfileNameStorageArrayWithSelfEncryptingDriveClientKMIPV1_2 ProfileName = 63
	ProfileNameStorageArrayWithSelfEncryptingDriveServerKMIPV1_0 ProfileName = 64
	ProfileNameStorageArrayWithSelfEncryptingDriveServerKMIPV1_1 ProfileName = 65
	ProfileNameStorageArrayWithSelfEncryptingDriveServerKMIPV1_2 ProfileName = 66
	ProfileNameHTTPSClientKMIPV1_0                               ProfileName = 67
	ProfileNameHTTPSClientKMIPV1_1                               ProfileName = 68
	ProfileNameHTTPSClientKMIPV1_2                               ProfileName = 69
	ProfileNameHTTPSServerKMIPV1_0                               ProfileName = 70
	ProfileNameHTTPSServerKMIPV1_1                               ProfileName = 71
	ProfileNameHTTPSServerKMIPV1_2                               ProfileName = 72
	ProfileNameJSONClientKMIPV1_0                                ProfileName = 73
	ProfileNameJSONClientKMIPV1_1                                ProfileName = 74
	ProfileNameJSONClientKMIPV1_2                                ProfileName = 75
	ProfileNameJSONServerKMIPV1_0                                ProfileName = 76
	ProfileNameJSONServerKMIPV1_1                                ProfileName = 77
	ProfileNameJSONServerKMIPV1_2                                ProfileName = 78
	ProfileNameXMLClientKMIPV1_0                                 ProfileName = 79
	ProfileNameXMLClientKMIPV1_1                                 ProfileName = 80
	ProfileNameXMLClientKMIPV1_2                                 ProfileName = 81
	ProfileNameXMLServerKMIPV1_0                                 ProfileName = 82
	ProfileNameXMLServerKMIPV1_1                                 ProfileName = 83
	ProfileNameXMLServerKMIPV1_2                                 ProfileName = 84
	ProfileNameBaselineServerBasicKMIPV1_3                       ProfileName = 85
	ProfileNameBaselineServerTLSV1_2KMIPV1_3                     ProfileName = 86
	ProfileNameBaselineClientBasicKMIPV1_3                       ProfileName = 87
	ProfileNameBaselineClientTLSV1_2KMIPV1_3                     ProfileName = 88
	ProfileNameCompleteServerBasicKMIPV1_3                       ProfileName = 89
	ProfileNameCompleteServerTLSV1_2KMIPV1_3                     ProfileName = 90
	ProfileNameTapeLibraryClientKMIPV1_3                         ProfileName = 91
	ProfileNameTapeLibraryServerKMIPV1_3                         ProfileName = 92
	ProfileNameSymmetricKeyLifecycleClientKMIPV1_3               ProfileName = 93
	ProfileNameSymmetricKeyLifecycleServerKMIPV1_3               ProfileName = 94
	ProfileNameAsymmetricKeyLifecycleClientKMIPV1_3              ProfileName = 95
	ProfileNameAsymmetricKeyLifecycleServerKMIPV1_3              ProfileName = 96
	ProfileNameBasicCryptographicClientKMIPV1_3                  ProfileName = 97
	ProfileNameBasicCryptographicServerKMIPV1_3                  ProfileName = 98
	ProfileNameAdvancedCryptographicClientKMIPV1_3               ProfileName = 99
	ProfileNameAdvancedCryptographicServerKMIPV1_3               ProfileName = 100
	ProfileNameRNGCryptographicClientKMIPV1_3                    ProfileName = 101
	ProfileNameRNGCryptographicServerKMIPV1_3                    ProfileName = 102
	ProfileNameBasicSymmetricKeyFoundryClientKMIPV1_3            ProfileName = 103
	ProfileNameIntermediateSymmetricKeyFoundryClientKMIPV1_3     ProfileName = 104
	ProfileNameAdvancedSymmetricKeyFoundryClientKMIPV1_3         ProfileName = 105
	ProfileNameSymmetricKeyFoundryServerKMIPV1_3                 ProfileName = 106
	ProfileNameOpaqueManagedObjectStoreClientKMIPV1_3            ProfileName = 107
	ProfileNameOpaqueManagedObjectStoreServerKMIPV1_3            ProfileName = 108
	ProfileNameSuiteBMinLOS128ClientKMIPV1_3                     ProfileName = 109
	ProfileNameSuiteBMinLOS128ServerKMIPV1_3                     ProfileName = 110
	ProfileNameSuiteBMinLOS192ClientKMIPV1_3                     ProfileName = 111
	ProfileNameSuiteBMinLOS192ServerKMIPV1_3                     ProfileName = 112
	ProfileNameStorageArrayWithSelfEncryptingDriveClientKMIPV1_3 ProfileName = 113
	ProfileNameStorageArrayWithSelfEncryptingDriveServerKMIPV1_3 ProfileName = 114
	ProfileNameHTTPSClientKMIPV1_3                               ProfileName = 115
	ProfileNameHTTPSServerKMIPV1_3                               ProfileName = 116
	ProfileNameJSONClientKMIPV1_3                                ProfileName = 117
	ProfileNameJSONServerKMIPV1_3                                ProfileName = 118
	ProfileNameXMLClientKMIPV1_3                                 ProfileName = 119
	ProfileNameXMLServerKMIPV1_3                                 ProfileName = 120
	ProfileNameBaselineServerBasicKMIPV1_4                       ProfileName = 121
	ProfileNameBaselineServerTLSV1_2KMIPV1_4                     ProfileName = 122
	ProfileNameBaselineClientBasicKMIPV1_4                       ProfileName = 123
	ProfileNameBaselineClientTLSV1_2KMIPV1_4                     ProfileName = 124
	ProfileNameCompleteServerBasicKMIPV1_4                       ProfileName = 125
	ProfileNameCompleteServerTLSV1_2KMIPV1_4                     ProfileName = 126
	ProfileNameTapeLibraryClientKMIPV1_4                         ProfileName = 127
	ProfileNameTapeLibraryServerKMIPV1_4                         ProfileName = 128
	ProfileNameSymmetricKeyLifecycleClientKMIPV1_4               ProfileName = 129
	ProfileNameSymmetricKeyLifecycleServerKMIPV1_4               ProfileName = 130
	ProfileNameAsymmetricKeyLifecycleClientKMIPV1_4              ProfileName = 131
	ProfileNameAsymmetricKeyLifecycleServerKMIPV1_4              ProfileName = 132
	ProfileNameBasicCryptographicClientKMIPV1_4                  ProfileName = 133
	ProfileNameBasicCryptographicServerKMIPV1_4                  ProfileName = 134
	ProfileNameAdvancedCryptographicClientKMIPV1_4               ProfileName = 135
	ProfileNameAdvancedCryptographicServerKMIPV1_4               ProfileName = 136
	ProfileNameRNGCryptographicClientKMIPV1_4                    ProfileName = 137
	ProfileNameRNGCryptographicServerKMIPV1_4                    ProfileName = 138
	ProfileNameBasicSymmetricKeyFoundryClientKMIPV1_4            ProfileName = 139
	ProfileNameIntermediateSymmetricKeyFoundryClientKMIPV1_4     ProfileName = 140
	ProfileNameAdvancedSymmetricKeyFoundryClientKMIPV1_4         ProfileName = 141
	ProfileNameSymmetricKeyFoundryServerKMIPV1_4                 ProfileName = 142
	ProfileNameOpaqueManagedObjectStoreClientKMIPV1_4            ProfileName = 143
	ProfileNameOpaqueManagedObjectStoreServerKMIPV1_4            ProfileName = 144
	ProfileNameSuiteBMinLOS128ClientKMIPV1_4                     ProfileName = 145
	ProfileNameSuiteBMinLOS128ServerKMIPV1_4                     ProfileName = 146
	ProfileNameSuiteBMinLOS192ClientKMIPV1_4                     ProfileName = 147
	ProfileNameSuiteBMinLOS192ServerKMIPV1_4                     ProfileName = 148
	ProfileNameStorageArrayWithSelfEncryptingDriveClientKMIPV1_4 ProfileName = 149
	ProfileNameStorageArrayWithSelfEncryptingDriveServerKMIPV1_4 ProfileName = 150
	ProfileNameHTTPSClientKMIPV1_4                               ProfileName = 151
	ProfileNameHTTPSServerKMIPV1_4                               ProfileName = 152
	ProfileNameJSONClientKMIPV1_4                                ProfileName = 153
	ProfileNameJSONServerKMIPV1_4                                ProfileName = 154
	ProfileNameXMLClientKMIPV1_4                                 ProfileName = 155
	ProfileNameXMLServerKMIPV1_4                                 ProfileName = 156
	ProfileNameCompleteServerBasic                               ProfileName = 0x104
	ProfileNameCompleteServerTLSV1_2                             ProfileName = 0x105
	ProfileNameTapeLibraryClient                                 ProfileName = 0x106
	ProfileNameTapeLibraryServer                                 ProfileName = 0x107
	ProfileNameSymmetricKeyLifecycleClient                       ProfileName = 0x108
	ProfileNameSymmetricKeyLifecycleServer                       ProfileName = 0x109
	ProfileNameAsymmetricKeyLifecycleClient                      ProfileName = 0x10A
	ProfileNameAsymmetricKeyLifecycleServer                      ProfileName = 0x10B
	ProfileNameBasicCryptographicClient                          ProfileName = 0x10C
	ProfileNameBasicCryptographicServer                          ProfileName = 0x10D
	ProfileNameAdvancedCryptographicClient                       ProfileName = 0x10E
	ProfileNameAdvancedCryptographicServer                       ProfileName = 0x10F
	ProfileNameRNGCryptographicClient                            ProfileName = 0x110
	ProfileNameRNGCryptographicServer                            ProfileName = 0x111
	ProfileNameBasicSymmetricKeyFoundryClient                    ProfileName = 0x112
	ProfileNameIntermediateSymmetricKeyFoundryClient             ProfileName = 0x113
	ProfileNameAdvancedSymmetricKeyFoundryClient                 ProfileName = 0x114
	ProfileNameSymmetricKeyFoundryServer                         ProfileName = 0x115
	ProfileNameOpaqueManagedObjectStoreClient                    ProfileName = 0x116
	ProfileNameOpaqueManagedObjectStoreServer                    ProfileName = 0x117
	ProfileNameStorageArrayWithSelfEncryptingDriveClient         ProfileName = 0x11C
	ProfileNameStorageArrayWithSelfEncryptingDriveServer         ProfileName = 0x11D
	ProfileNameHTTPSClient                                       ProfileName = 0x11E
	ProfileNameHTTPSServer                                       ProfileName = 0x11F
	ProfileNameJSONClient                                        ProfileName = 0x120
	ProfileNameJSONServer                                        ProfileName = 0x121
	ProfileNameXMLClient                                         ProfileName = 0x122
	ProfileNameXMLServer                                         ProfileName = 0x123
	ProfileNameAESXTSClient                                      ProfileName = 0x124
	ProfileNameAESXTSServer                                      ProfileName = 0x125
	ProfileNameQuantumSafeClient                                 ProfileName = 0x126
	ProfileNameQuantumSafeServer                                 ProfileName = 0x127
	ProfileNamePKCS11Client                                      ProfileName = 0x128
	ProfileNamePKCS11Server                                      ProfileName = 0x129
	ProfileNameBaselineClient                                    ProfileName = 0x12A
	ProfileNameBaselineServer                                    ProfileName = 0x12B
	ProfileNameCompleteServer                                    ProfileName = 0x12C
)

// String returns the normalized name, or the value in hexadecimal.
func (v ProfileName) String() string { return enumString(ttlv.TagProfileName, uint32(v)) }

// ClientRegistrationMethod is how a client may register with the server (KMIP 2.1 §11.10).
type ClientRegistrationMethod uint32

// Values of ClientRegistrationMethod.
const (
	ClientRegistrationMethodUnspecified        ClientRegistrationMethod = 1
	ClientRegistrationMethodServerPreGenerated ClientRegistrationMethod = 2
	ClientRegistrationMethodServerOnDemand     ClientRegistrationMethod = 3
	ClientRegistrationMethodClientGenerated    ClientRegistrationMethod = 4
	ClientRegistrationMethodClientRegistered   ClientRegistrationMethod = 5
)

// String returns the normalized name, or the value in hexadecimal.
func (v ClientRegistrationMethod) String() string {
	return enumString(ttlv.TagClientRegistrationMethod, uint32(v))
}

// UnwrapMode is how the server treats wrapped objects it is given (KMIP 2.1 §11.59).
type UnwrapMode uint32

// Values of UnwrapMode.
const (
	UnwrapModeUnspecified  UnwrapMode = 1
	UnwrapModeProcessed    UnwrapMode = 2
	UnwrapModeNotProcessed UnwrapMode = 3
)

// String returns the normalized name, or the value in hexadecimal.
func (v UnwrapMode) String() string { return enumString(ttlv.TagUnwrapMode, uint32(v)) }

// DestroyAction is what the server does to an object when it is destroyed (KMIP 2.1 §11.15).
type DestroyAction uint32

// Values of DestroyAction.
const (
	DestroyActionUnspecified         DestroyAction = 1
	DestroyActionKeyMaterialDeleted  DestroyAction = 2
	DestroyActionKeyMaterialShredded DestroyAction = 3
	DestroyActionMetaDataDeleted     DestroyAction = 4
	DestroyActionMetaDataShredded    DestroyAction = 5
	DestroyActionDeleted             DestroyAction = 6
	DestroyActionShredded            DestroyAction = 7
)

// String returns the normalized name, or the value in hexadecimal.
func (v DestroyAction) String() string { return enumString(ttlv.TagDestroyAction, uint32(v)) }

// ShreddingAlgorithm is how the server overwrites destroyed objects (KMIP 2.1 §11.53).
type ShreddingAlgorithm uint32

// Values of ShreddingAlgorithm.
const (
	ShreddingAlgorithmUnspecified   ShreddingAlgorithm = 1
	ShreddingAlgorithmCryptographic ShreddingAlgorithm = 2
	ShreddingAlgorithmUnsupported   ShreddingAlgorithm = 3
)

// String returns the normalized name, or the value in hexadecimal.
func (v ShreddingAlgorithm) String() string { return enumString(ttlv.TagShreddingAlgorithm, uint32(v)) }

// RNGMode is whether clients share an instance of the random number generator (KMIP 2.1 §11.50).
type RNGMode uint32

// Values of RNGMode.
const (
	RNGModeUnspecified            RNGMode = 1
	RNGModeSharedInstantiation    RNGMode = 2
	RNGModeNonSharedInstantiation RNGMode = 3
)

// String returns the normalized name, or the value in hexadecimal.
func (v RNGMode) String() string { return enumString(ttlv.TagRNGMode, uint32(v)) }

// ValidationAuthorityType is who validated the server (KMIP 2.1 §11.63).
type ValidationAuthorityType uint32

// Values of ValidationAuthorityType.
const (
	ValidationAuthorityTypeUnspecified    ValidationAuthorityType = 1
	ValidationAuthorityTypeNISTCMVP       ValidationAuthorityType = 2
	ValidationAuthorityTypeCommonCriteria ValidationAuthorityType = 3
)

// String returns the normalized name, or the value in hexadecimal.
func (v ValidationAuthorityType) String() string {
	return enumString(ttlv.TagValidationAuthorityType, uint32(v))
}

// ValidationType is what of the server was validated (KMIP 2.1 §11.64).
type ValidationType uint32

// Values of ValidationType.
const (
	ValidationTypeUnspecified ValidationType = 1
	ValidationTypeHardware    ValidationType = 2
	ValidationTypeSoftware    ValidationType = 3
	ValidationTypeFirmware    ValidationType = 4
	ValidationTypeHybrid      ValidationType = 5
)

// String returns the normalized name, or the value in hexadecimal.
func (v ValidationType) String() string { return enumString(ttlv.TagValidationType, uint32(v)) }
