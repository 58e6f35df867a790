/** The container's decorators that classes of plugins use, handed on so that nobody else imports the container. */
export { inject, injectable, multiInject, optional } from 'inversify';
