package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"strongroom/kmip"
)

// macCommand holds the commands about message authentication codes.
func (p *program) macCommand() *cobra.Command {
	return group("mac", "Message authentication codes of files", p.macComputeCommand(), p.macVerifyCommand())
}

// cmacName is what --algorithm may say beside the HMACs of sym keys create.
const cmacName = "cmac"

// macParameters are those of a request; nil leaves it to the key.
func macParameters(name string) (*kmip.CryptographicParameters, error) {
	if name == "" {
		return nil, nil
	}
	if plain(name) == cmacName {
		return &kmip.CryptographicParameters{BlockCipherMode: kmip.BlockCipherModeCMAC}, nil
	}
	for _, a := range symmetricAlgorithms {
		if a.usage == macUsage && plain(a.name) == plain(name) {
			return &kmip.CryptographicParameters{CryptographicAlgorithm: a.algorithm}, nil
		}
	}
	return nil, misused("--algorithm %q is not cmac, hmac-sha256, hmac-sha384 or hmac-sha512", name)
}

// macFlags adds the flags of both commands.
func macFlags(cmd *cobra.Command, algorithm *string) {
	cmd.Flags().StringVarP(algorithm, "algorithm", "a", "", "`ALGORITHM`: hmac-sha256, hmac-sha384, hmac-sha512 or cmac (default the key's own; cmac of an AES key)")
}

// A code is the answer of mac compute.
type code struct {
	UniqueIdentifier string `json:"unique_identifier"`
	MAC              string `json:"mac"` // hexadecimal
}

func (p *program) macComputeCommand() *cobra.Command {
	var uid, algorithm, output string
	cmd := needsKeyID(&cobra.Command{
		Use:   "compute --key-id ID FILE",
		Short: "Compute the message authentication code of a file",
		Long: fmt.Sprintf(`Compute the message authentication code of a file of up to %d bytes, and print it in hexadecimal; with --output-file it is written as
it is. FILE may be -, for standard input. The usage of the key is mac-generate: that of a key for HMAC, and of an AES key made
with --key-usage mac-generate,mac-verify.`, mostInServer),
		Example: `  strongroom sym keys create --algorithm hmac-sha256 my_mac_key
  strongroom mac compute --key-id my_mac_key config.tar`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			parameters, err := macParameters(algorithm)
			if err != nil {
				return err
			}
			return p.read(args[0], func(r io.Reader, in *os.File) error {
				data, err := readSmall(r, mostInServer, "")
				if err != nil {
					return fmt.Errorf("authenticating %q: %w", args[0], err)
				}
				m, err := do[kmip.MACResponse](cmd.Context(), p, kmip.OperationMAC, &kmip.MACRequest{
					UniqueIdentifier: kmip.UniqueIdentifier(uid), CryptographicParameters: parameters, Data: data,
				})
				if err != nil {
					return err
				}
				if output == "" {
					text := hex.EncodeToString(m.MACData)
					return p.answer(code{uid, text}, "%s", text)
				}
				if err := p.write(output, usualMode, in, m.MACData); err != nil {
					return err
				}
				return p.available("message authentication code", uid, output)
			})
		},
	}, &uid)
	macFlags(cmd, &algorithm)
	cmd.Flags().StringVarP(&output, "output-file", "o", "", "`FILE` for the code, - for standard output")
	return cmd
}

// errOther ends mac verify after its answer.
var errOther = errors.New("the message authentication code does not fit the file and the key")

func (p *program) macVerifyCommand() *cobra.Command {
	var uid, algorithm, text, file string
	cmd := needsKeyID(&cobra.Command{
		Use:     "verify --key-id ID --mac HEX FILE",
		Short:   "Verify the message authentication code of a file",
		Long:    "Verify the message authentication code of a file; FILE may be -, for standard input. Ends with 0 if it fits, else with 1.",
		Example: "  strongroom mac verify --key-id my_mac_key --mac 5b1f…c07a config.tar\n  strongroom mac verify --key-id my_mac_key --mac-file config.mac config.tar",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			parameters, err := macParameters(algorithm)
			if err != nil {
				return err
			}
			mac, err := p.macGiven(text, file)
			if err != nil {
				return err
			}
			return p.read(args[0], func(r io.Reader, _ *os.File) error {
				data, err := readSmall(r, mostInServer, "")
				if err != nil {
					return fmt.Errorf("verifying %q: %w", args[0], err)
				}
				v, err := do[kmip.MACVerifyResponse](cmd.Context(), p, kmip.OperationMACVerify, &kmip.MACVerifyRequest{
					UniqueIdentifier: kmip.UniqueIdentifier(uid), CryptographicParameters: parameters, Data: data, MACData: mac,
				})
				if err != nil {
					return err
				}
				return p.verdict(uid, v.ValidityIndicator == kmip.ValidityIndicatorValid, "The message authentication code is valid.", errOther)
			})
		},
	}, &uid)
	macFlags(cmd, &algorithm)
	cmd.Flags().StringVarP(&text, "mac", "m", "", "the code, in `HEX`")
	cmd.Flags().StringVar(&file, "mac-file", "", "`FILE` with the code as it is")
	return cmd
}

// macGiven is the code that one of the two flags gives.
func (p *program) macGiven(text, file string) ([]byte, error) {
	if (text == "") == (file == "") {
		return nil, misused("give the code with --mac HEX or with --mac-file FILE")
	}
	if file != "" {
		return p.readKey(file)
	}
	mac, err := hex.DecodeString(text)
	if err != nil {
		return nil, misused("--mac %q: %v", text, err)
	}
	return mac, nil
}
