/** Server reflection: what grpcurl and its like ask before they can call anything. */
import { type DescFile, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { type handleBidiStreamingCall, status } from "@grpc/grpc-js";
import type { ServerReflectionRequest, ServerReflectionResponseSchema } from "./reflection_v1_pb.ts";

type Answer = MessageInitShape<typeof ServerReflectionResponseSchema>;
type Body = NonNullable<Answer["messageResponse"]>;

/** Both versions of the service have the same messages, so one implementation answers both. */
export function reflectionCall(
  files: readonly DescFile[],
): handleBidiStreamingCall<ServerReflectionRequest, Answer> {
  const bytes = new Map<string, Uint8Array>();
  const fileOfSymbol = new Map<string, string>();
  const services: { name: string }[] = [];
  for (const file of files) {
    const name = file.proto.name;
    bytes.set(name, toBinary(FileDescriptorProtoSchema, file.proto));
    for (const symbol of symbolsOf(file)) fileOfSymbol.set(symbol, name);
    for (const service of file.services) services.push({ name: service.typeName });
  }

  const fileAnswer = (name: string | undefined, asked: string): Body => {
    const found = name === undefined ? undefined : bytes.get(name);
    if (found === undefined) return failure(status.NOT_FOUND, `There is no "${asked.slice(0, 200)}"`);
    return { case: "fileDescriptorResponse", value: { fileDescriptorProto: [found] } };
  };
  const answer = ({ messageRequest: asked }: ServerReflectionRequest): Body => {
    switch (asked.case) {
      case "listServices":
        return { case: "listServicesResponse", value: { service: services } };
      case "fileByFilename":
        return fileAnswer(asked.value, asked.value);
      case "fileContainingSymbol":
        return fileAnswer(fileOfSymbol.get(asked.value), asked.value);
      case "allExtensionNumbersOfType":
        return fileOfSymbol.has(asked.value)
          ? { case: "allExtensionNumbersResponse", value: { baseTypeName: asked.value } }
          : failure(status.NOT_FOUND, "There is no such type");
      case "fileContainingExtension":
        return failure(status.NOT_FOUND, "There are no extensions");
      default:
        return failure(status.INVALID_ARGUMENT, "The request asks for nothing");
    }
  };
  return (call) => {
    call.on("data", (request) => {
      const hasRoom = call.write({
        validHost: request.host,
        // By its fields: the message itself is of one version of the service only.
        originalRequest: { host: request.host, messageRequest: request.messageRequest },
        messageResponse: answer(request),
      });
      if (!hasRoom) {
        call.pause();
        call.once("drain", () => call.resume());
      }
    });
    call.on("end", () => call.end());
  };
}

function failure(errorCode: number, errorMessage: string): Body {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}

function symbolsOf(file: DescFile): string[] {
  const messages = file.messages.flatMap(allMessages);
  return [
    ...messages.map((message) => message.typeName),
    ...[...file.enums, ...messages.flatMap((message) => message.nestedEnums)].map((named) => named.typeName),
    ...file.services.flatMap((
      service,
    ) => [service.typeName, ...service.methods.map((method) => `${service.typeName}.${method.name}`)]),
  ];
}

function allMessages(message: DescMessage): DescMessage[] {
  return [message, ...message.nestedMessages.flatMap(allMessages)];
}
