package server

import (
	"slices"

	"strongroom/kmip"
	"strongroom/kmip/ttlv"
)

// discoverVersions answers Discover Versions. KMIP 2.1 §6.1.16: of the versions asked for, or of all, those that are spoken,
// newest first, whatever the order of the request.
func (r *Request) discoverVersions(_ *call, q *kmip.DiscoverVersionsRequest) (*kmip.DiscoverVersionsResponse, error) {
	response := new(kmip.DiscoverVersionsResponse)
	for _, v := range kmip.Versions {
		p := kmip.VersionOf(v)
		if len(q.ProtocolVersion) == 0 || slices.Contains(q.ProtocolVersion, p) {
			response.ProtocolVersion = append(response.ProtocolVersion, p)
		}
	}
	return response, nil
}

// vendor is the Vendor Identification of Query.
const vendor = "Strongroom"

// objectTypes are those that can be kept.
var objectTypes = []kmip.ObjectType{
	kmip.ObjectTypeCertificate, kmip.ObjectTypeSymmetricKey, kmip.ObjectTypePublicKey, kmip.ObjectTypePrivateKey,
	kmip.ObjectTypeSplitKey, kmip.ObjectTypeTemplate, kmip.ObjectTypeSecretData, kmip.ObjectTypeOpaqueObject, kmip.ObjectTypePGPKey,
	kmip.ObjectTypeCertificateRequest,
}

// query answers Query. KMIP 2.1 §6.1.40. A function that is not known, or that this server has nothing to say to, adds
// nothing to the answer.
func (r *Request) query(_ *call, q *kmip.QueryRequest) (*kmip.QueryResponse, error) {
	if len(q.QueryFunction) == 0 {
		return nil, kmip.Errorf(kmip.ResultReasonInvalidField, "Query asks for nothing: it needs a Query Function")
	}
	response := new(kmip.QueryResponse)
	for _, f := range q.QueryFunction {
		switch f {
		case kmip.QueryFunctionQueryOperations:
			response.Operation = slices.DeleteFunc(r.server.supported(r.version), func(op kmip.Operation) bool {
				// Discover Versions is answered under 1.0, too, and clients in the field fail on operations that they do not know.
				return op&0x80000000 != 0 || !ttlv.Defined(ttlv.TagOperation, uint32(op), r.version)
			})
		case kmip.QueryFunctionQueryObjects:
			response.ObjectType = objectTypesOf(r.version)
		case kmip.QueryFunctionQueryServerInformation:
			response.VendorIdentification = vendor
			response.ServerInformation = r.serverInformation()
		case kmip.QueryFunctionQueryExtensionList, kmip.QueryFunctionQueryExtensionMap:
			response.ExtensionInformation = r.extensions(slices.Contains(q.QueryFunction, kmip.QueryFunctionQueryExtensionMap))
		case kmip.QueryFunctionQueryRNGs:
			response.RNGParameters = []kmip.RNGParameters{generator(false)}
		case kmip.QueryFunctionQueryCapabilities:
			response.CapabilityInformation = []kmip.CapabilityInformation{capabilities()}
		case kmip.QueryFunctionQueryDefaultsInformation:
			var err error
			if response.DefaultsInformation, err = r.defaultsInformation(q.ObjectGroups); err != nil {
				return nil, err
			}
		case kmip.QueryFunctionQueryStorageProtectionMasks:
			response.ProtectionStorageMasks = r.server.storages()
		}
	}
	return response, nil
}

func objectTypesOf(v ttlv.Version) []kmip.ObjectType {
	return slices.DeleteFunc(slices.Clone(objectTypes), func(t kmip.ObjectType) bool {
		return !ttlv.Defined(ttlv.TagObjectType, uint32(t), v)
	})
}

// serverInformation is the structure of KMIP 2.1 §7.37, whose fields 2.0 defined; 1.x leaves its contents to the server.
func (r *Request) serverInformation() ttlv.Raw {
	var e ttlv.Encoder
	e.Reset(nil, r.version)
	mark := e.Begin(ttlv.TagServerInformation)
	if r.version >= ttlv.V2_0 {
		e.Text(ttlv.TagServerName, vendor)
		e.Text(ttlv.TagServerVersion, r.server.Version)
	}
	e.End(mark)
	return e.Bytes()
}

// extensionTypes are the vendor's tags in messages, and the types of their items.
var extensionTypes = []struct {
	tag ttlv.Tag
	is  kmip.ItemType
}{
	{ttlv.TagGrantee, kmip.ItemTypeTextString},
	{ttlv.TagGrantedOperation, kmip.ItemTypeEnumeration},
	{ttlv.TagAccessEntry, kmip.ItemTypeStructure},
	{ttlv.TagAllowed, kmip.ItemTypeBoolean},
	{ttlv.TagIdentity, kmip.ItemTypeTextString},
	{ttlv.TagHSMAdmin, kmip.ItemTypeBoolean},
	{ttlv.TagOwned, kmip.ItemTypeBoolean},
	{ttlv.TagObtained, kmip.ItemTypeBoolean},
}

// extensions lists the vendor tags: their names, and with mapped also their numbers and types.
func (r *Request) extensions(mapped bool) []kmip.ExtensionInformation {
	list := make([]kmip.ExtensionInformation, len(extensionTypes))
	for i, x := range extensionTypes {
		list[i].ExtensionName = x.tag.String()
		if !mapped {
			continue
		}
		n := int32(x.tag)
		list[i].ExtensionTag = &n
		var e ttlv.Encoder
		e.Reset(nil, r.version)
		if r.version < ttlv.V2_0 {
			e.Int(ttlv.TagExtensionType, int32(x.is))
		} else {
			e.Enum(ttlv.TagExtensionType, uint32(x.is))
		}
		list[i].ExtensionType = e.Bytes()
	}
	return list
}

func capabilities() kmip.CapabilityInformation {
	yes, no := true, false
	return kmip.CapabilityInformation{
		StreamingCapability: &yes, AsynchronousCapability: &yes, AttestationCapability: &no,
		BatchUndoCapability: &yes, BatchContinueCapability: &yes,
		UnwrapMode: kmip.UnwrapModeUnspecified, DestroyAction: kmip.DestroyActionKeyMaterialDeleted,
		ShreddingAlgorithm: kmip.ShreddingAlgorithmUnspecified, RNGMode: kmip.RNGModeSharedInstantiation,
		QuantumSafeCapability: &no,
	}
}
