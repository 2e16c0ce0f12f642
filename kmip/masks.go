package kmip

import "strongroom/kmip/ttlv"

// CryptographicUsageMask is the set of operations a key may be used for (KMIP 2.1 §12.1).
type CryptographicUsageMask int32

// Bits of CryptographicUsageMask. Those marked 1.x are reserved in KMIP 2.0 and later.
const (
	CryptographicUsageMaskSign               CryptographicUsageMask = 0x1
	CryptographicUsageMaskVerify             CryptographicUsageMask = 0x2
	CryptographicUsageMaskEncrypt            CryptographicUsageMask = 0x4
	CryptographicUsageMaskDecrypt            CryptographicUsageMask = 0x8
	CryptographicUsageMaskWrapKey            CryptographicUsageMask = 0x10
	CryptographicUsageMaskUnwrapKey          CryptographicUsageMask = 0x20
	CryptographicUsageMaskExport             CryptographicUsageMask = 0x40 // 1.x
	CryptographicUsageMaskMACGenerate        CryptographicUsageMask = 0x80
	CryptographicUsageMaskMACVerify          CryptographicUsageMask = 0x100
	CryptographicUsageMaskDeriveKey          CryptographicUsageMask = 0x200
	CryptographicUsageMaskContentCommitment  CryptographicUsageMask = 0x400 // 1.x
	CryptographicUsageMaskKeyAgreement       CryptographicUsageMask = 0x800
	CryptographicUsageMaskCertificateSign    CryptographicUsageMask = 0x1000
	CryptographicUsageMaskCRLSign            CryptographicUsageMask = 0x2000
	CryptographicUsageMaskGenerateCryptogram CryptographicUsageMask = 0x4000  // 1.x
	CryptographicUsageMaskValidateCryptogram CryptographicUsageMask = 0x8000  // 1.x
	CryptographicUsageMaskTranslateEncrypt   CryptographicUsageMask = 0x10000 // 1.x
	CryptographicUsageMaskTranslateDecrypt   CryptographicUsageMask = 0x20000 // 1.x
	CryptographicUsageMaskTranslateWrap      CryptographicUsageMask = 0x40000 // 1.x
	CryptographicUsageMaskTranslateUnwrap    CryptographicUsageMask = 0x80000 // 1.x
	CryptographicUsageMaskAuthenticate       CryptographicUsageMask = 0x100000
	CryptographicUsageMaskUnrestricted       CryptographicUsageMask = 0x200000
	CryptographicUsageMaskFPEEncrypt         CryptographicUsageMask = 0x400000
	CryptographicUsageMaskFPEDecrypt         CryptographicUsageMask = 0x800000
)

// String returns the names of the bits with "|" between them, unnamed bits in hexadecimal, or 0.
func (m CryptographicUsageMask) String() string {
	return ttlv.FormatMask(ttlv.TagCryptographicUsageMask, int32(m), "|")
}

// ProtectionStorageMask is the set of places an object may be kept in (KMIP 2.1 §12.2).
type ProtectionStorageMask int32

// Bits of ProtectionStorageMask.
const (
	ProtectionStorageMaskSoftware         ProtectionStorageMask = 0x1
	ProtectionStorageMaskHardware         ProtectionStorageMask = 0x2
	ProtectionStorageMaskOnProcessor      ProtectionStorageMask = 0x4
	ProtectionStorageMaskOnSystem         ProtectionStorageMask = 0x8
	ProtectionStorageMaskOffSystem        ProtectionStorageMask = 0x10
	ProtectionStorageMaskHypervisor       ProtectionStorageMask = 0x20
	ProtectionStorageMaskOperatingSystem  ProtectionStorageMask = 0x40
	ProtectionStorageMaskContainer        ProtectionStorageMask = 0x80
	ProtectionStorageMaskOnPremises       ProtectionStorageMask = 0x100
	ProtectionStorageMaskOffPremises      ProtectionStorageMask = 0x200
	ProtectionStorageMaskSelfManaged      ProtectionStorageMask = 0x400
	ProtectionStorageMaskOutsourced       ProtectionStorageMask = 0x800
	ProtectionStorageMaskValidated        ProtectionStorageMask = 0x1000
	ProtectionStorageMaskSameJurisdiction ProtectionStorageMask = 0x2000
)

// String returns the names of the bits with "|" between them, unnamed bits in hexadecimal, or 0.
func (m ProtectionStorageMask) String() string {
	return ttlv.FormatMask(ttlv.TagProtectionStorageMask, int32(m), "|")
}

// StorageStatusMask is the set of storages Locate searches (KMIP 2.1 §12.3).
type StorageStatusMask int32

// Bits of StorageStatusMask.
const (
	StorageStatusMaskOnLineStorage    StorageStatusMask = 0x1
	StorageStatusMaskArchivalStorage  StorageStatusMask = 0x2
	StorageStatusMaskDestroyedStorage StorageStatusMask = 0x4
)

// String returns the names of the bits with "|" between them, unnamed bits in hexadecimal, or 0.
func (m StorageStatusMask) String() string {
	return ttlv.FormatMask(ttlv.TagStorageStatusMask, int32(m), "|")
}
