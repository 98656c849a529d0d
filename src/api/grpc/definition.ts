/** Generated service descriptions as grpc-js takes them. */
import {
  create,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";

/** What a handler writes: the fields that are set; the rest have their defaults. */
type Fields = Message | Record<string, unknown>;

/** The service's methods by name, with codecs. */
export function definitionOf(service: DescService): ServiceDefinition {
  return Object.fromEntries(service.methods.map((method) => [method.name, methodOf(service, method)]));
}

function methodOf(service: DescService, method: DescMethod): MethodDefinition<Fields, Fields> {
  const { methodKind: kind, input, output } = method;
  return {
    path: `/${service.typeName}/${method.name}`,
    requestStream: kind === "client_streaming" || kind === "bidi_streaming",
    responseStream: kind === "server_streaming" || kind === "bidi_streaming",
    requestSerialize: (fields) => bufferOf(toBinary(input, create(input, fields))),
    requestDeserialize: (bytes) => fromBinary(input, bytes),
    responseSerialize: (fields) => bufferOf(toBinary(output, create(output, fields))),
    responseDeserialize: (bytes) => fromBinary(output, bytes),
  };
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
