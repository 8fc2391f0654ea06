"""gRPC's reflection service: the services and their messages, for grpcurl, grpcui and Postman."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from keras_dl_serving.errors import Code
from keras_dl_serving.protocol.wire import messages
from keras_dl_serving.protocol.wire.descriptors import Descriptors, Method

METHOD = Method("ServerReflectionRequest", asks_many=True, answers_many=True)
SERVICES = tuple(f"grpc.reflection.{version}.ServerReflection" for version in ("v1", "v1alpha"))


class Reflection:
    """The reflection service.

    Args:
        services: by service, its methods by name; with this service.
    """

    def __init__(self, services: Mapping[str, Mapping[str, Method]]) -> None:
        self._services = services
        self._descriptors: Descriptors | None = None
        self._closed = asyncio.Event()

    async def info(self, requests: AsyncIterator[bytes]) -> AsyncIterator[messages.ServerReflectionResponse]:
        """Answer ServerReflection.ServerReflectionInfo until the client or the server ends it."""
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            while True:
                request = asyncio.ensure_future(anext(requests))
                await asyncio.wait((request, closed), return_when=asyncio.FIRST_COMPLETED)
                if not request.done():
                    request.cancel()
                    return
                try:
                    message = request.result()
                except StopAsyncIteration:
                    return
                yield self.answer(messages.ServerReflectionRequest.FromString(message))
        finally:
            closed.cancel()

    def answer(self, request: messages.ServerReflectionRequest) -> messages.ServerReflectionResponse:
        """Return the response to one request."""
        response = messages.ServerReflectionResponse(valid_host=request.host, original_request=request)
        asked = request.WhichOneof("message_request")
        if asked == "list_services":
            for name in sorted(self._services):
                response.list_services_response.service.add(name=name)
            return response
        self._descriptors = self._descriptors or Descriptors(self._services)  # on demand: it takes 10 ms
        try:
            if asked == "file_by_filename":
                found = self._descriptors.of_file(request.file_by_filename)
            elif asked == "file_containing_symbol":
                found = self._descriptors.of_symbol(request.file_containing_symbol)
            else:
                response.error_response.error_code = Code.NOT_FOUND
                response.error_response.error_message = "There are no extensions"
                return response
        except KeyError as error:
            response.error_response.error_code = Code.NOT_FOUND
            response.error_response.error_message = f"Not found: {error.args[0]}"
            return response
        response.file_descriptor_response.file_descriptor_proto.extend(found)
        return response

    def close(self) -> None:
        """End the calls that clients hold open."""
        self._closed.set()
